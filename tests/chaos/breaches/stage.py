"""The embedded deployment with a fleet of twenty: Airflow, Prometheus, venue and guard, all real."""

import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
import requests

from feed_migration.airflow_api import AirflowApi
from feed_migration.deployment import load_deployment
from feed_migration.errors import AirflowUnavailable
from feed_migration.journal.store import Journal
from tests.chaos.breaches.plan import COUNTERS, FLEET, plan_text
from tests.support.conditions import eventually_sync
from tools.demo.airflow_env import airflow_commands
from tools.demo.faults import NATIVE_CLIENTS
from tools.demo.layout import Layout, free_port_base
from tools.demo.stack import Stack, running_stack

DAG = "backpack_cutover"
AIRFLOW_SECONDS = 120.0
QUIET_SECONDS = 60.0
# for a signal to reach all of it
DEAD_SECONDS = 10.0


class Stage:
    """What a trial does to the deployment, and what it looks at."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.deployment = load_deployment(stack.layout.home)
        self.journal = Journal(self.deployment.journal_url)
        self._airflow = AirflowApi(self.deployment.airflow)

    def start_run(self) -> str:
        """Start a cutover whose earlier phases are waived with a reason."""
        conf = {"skip_earlier_phases": True, "reason": "a breach on purpose"}
        return self._airflow.trigger(DAG, conf)

    def run_ended(self, run_id: str) -> bool:
        """Whether the DAG run is over; an Airflow that is busy has not said so."""
        with suppress(AirflowUnavailable):
            return self._airflow.run_state(DAG, run_id) in {"failed", "success"}
        return False

    def begin_fault(self, fault: str) -> None:
        """Break the venue for native clients alone."""
        body = {"fault": fault, "user_agent": NATIVE_CLIENTS}
        self.stack.venue("POST", "/sandbox/faults", body)

    def end_faults(self) -> None:
        """The venue is whole again."""
        self.stack.venue("DELETE", "/sandbox/faults")

    def breached(self) -> bool:
        """Whether a native instance itself has counted what a hard criterion forbids.

        The time from the venue's fault until then is the market's: a quiet one has no bad frame.
        """
        with ThreadPoolExecutor(FLEET) as pool:
            return any(pool.map(_violated, (one.url for one in self.deployment.instances)))

    def variants(self) -> list[str]:
        """What every instance says of itself now; `unready` stands for one that is not ready."""
        return [i.variant if i.ready else "unready" for i in self.stack.fleet.instances()]

    def calm(self) -> None:
        """Wait until every instance is on ccxt, and Prometheus remembers no native one."""
        query = 'count(last_over_time(backpack_feed_healthy{variant="native"}[10s]))'

        def quiet() -> bool:
            url = f"{self.deployment.prometheus_url}/api/v1/query"
            answer = requests.get(url, params={"query": query}, timeout=5).json()
            return not answer["data"]["result"] and set(self.variants()) == {"ccxt"}

        eventually_sync(quiet, QUIET_SECONDS, self.variants)

    def airflow_processes(self) -> list[psutil.Process]:
        """All of Airflow: its four components and whatever they have started."""
        supervisord = psutil.Process(self.stack.supervisord.pid)
        tops = [child for child in supervisord.children() if _is_airflow(child)]
        return [*tops, *(below for top in tops for below in top.children(recursive=True))]

    @contextmanager
    def airflow_dead(self, how: str) -> Iterator[None]:
        """Without Airflow for the block: as on a frozen host, or killed and started again."""
        if how == "alive":
            yield
            return
        names = list(airflow_commands(Path("airflow")))
        processes = self.airflow_processes()
        assert len(processes) >= len(names), f"of Airflow only {processes} were there to die"
        if how == "killed":
            # not to be started again before the block ends
            for name in names:
                self.stack.rpc.stop(name)
        _send(processes, signal.SIGKILL if how == "killed" else signal.SIGSTOP)
        try:
            eventually_sync(self.airflow_is_dead, DEAD_SECONDS, self.airflow_processes)
            yield
            assert self.airflow_is_dead(), f"Airflow came back: {self.airflow_processes()}"
        finally:
            if how == "killed":
                self._start_airflow(names)
            else:
                _send(processes, signal.SIGCONT)

    def is_spooled(self, kind: str) -> bool:
        """Whether an event of that kind waits for the journal."""
        spool = self.deployment.spool_file
        return spool.exists() and f'"{kind}"' in spool.read_text()

    def airflow_is_dead(self) -> bool:
        """Whether none of it can do anything: gone, or stopped as a whole."""
        return all(_is_still(process) for process in self.airflow_processes())

    def _start_airflow(self, names: list[str]) -> None:
        eventually_sync(lambda: not self.airflow_processes(), AIRFLOW_SECONDS)
        for name in names:
            self.stack.rpc.start(name)
        url = f"{self.deployment.airflow.url}/api/v2/monitor/health"

        def healthy() -> bool:
            with suppress(requests.RequestException, ValueError):
                parts = requests.get(url, timeout=5).json()
                found = [
                    (parts.get(part) or {}).get("status") for part in ("scheduler", "triggerer")
                ]
                return found == ["healthy", "healthy"]
            return False

        eventually_sync(healthy, AIRFLOW_SECONDS)


@contextmanager
def staged(percent: int, say: Callable[[object], None]) -> Iterator[Stage]:
    """Yield a running deployment whose plan exposes `percent` first; all of it ends with the block."""
    # a unix socket's path must be short
    with tempfile.TemporaryDirectory(prefix="breach-") as folder:
        home = Path(folder)
        plan = home / "plan.yaml"
        plan.write_text(plan_text(percent))
        layout = Layout(home / "v", port_base=free_port_base(60), fleet_size=FLEET, shadow_size=1)
        began = time.monotonic()
        with running_stack(layout, plan, lambda _: None) as stack:
            say(f"a fleet of {FLEET} with Airflow is up after {time.monotonic() - began:.0f} s")
            yield Stage(stack)


def _violated(url: str) -> bool:
    with suppress(requests.RequestException, ValueError):
        said = requests.get(f"{url}/snapshot", timeout=2).json()
        counted = [said["metrics"].get(name) for name in COUNTERS]
        return said["variant"] == "native" and any(_total(value) for value in counted)
    return False


def _total(value: Any) -> float:
    return sum(map(_total, value.values())) if isinstance(value, dict) else float(value or 0)


def _is_airflow(process: psutil.Process) -> bool:
    with suppress(psutil.Error):
        return any("airflow" in word for word in process.cmdline())
    return False


def _is_still(process: psutil.Process) -> bool:
    with suppress(psutil.NoSuchProcess):
        return process.status() in {psutil.STATUS_STOPPED, psutil.STATUS_ZOMBIE}
    return True


def _send(processes: list[psutil.Process], number: signal.Signals) -> None:
    for process in processes:
        with suppress(psutil.Error):
            process.send_signal(number)
