"""Starts and stops the embedded deployment: one supervisord with everything below it."""

import fcntl
import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import requests
import yaml

from backpack_feed.wire.decode import decode_markets
from backpack_feed.wire.symbols import SymbolTable, symbol_table
from feed_migration.airflow_api import AirflowApi
from feed_migration.deployment import load_deployment
from feed_migration.errors import AirflowUnavailable, FleetUnavailable
from feed_migration.fleet.supervisor import SupervisorFleet
from feed_migration.fleet.supervisor_rpc import SupervisorRpc
from tools.demo import configs, processes
from tools.demo.airflow_env import airflow_commands, airflow_environment, without_airflow
from tools.demo.layout import MARKER, REPOSITORY, DemoError, Layout, require_free_ports

POLL_SECONDS = 0.2
# Airflow imports itself in each of four processes: on a cold and busy machine that takes minutes
START_DEADLINE_SECONDS = 300.0
STOP_DEADLINE_SECONDS = 20.0
MAX_SOCKET_PATH_BYTES = 95
LOCK = ".demo.lock"


@dataclass
class Stack:
    """A running embedded deployment. `started_seconds` says how long each part took."""

    layout: Layout
    plan: Path
    supervisord: subprocess.Popen[bytes]
    started_seconds: dict[str, float] = field(default_factory=dict)

    @property
    def rpc(self) -> SupervisorRpc:
        """Return an XML-RPC client of supervisord."""
        return SupervisorRpc(self.layout.supervisor_socket)

    def catalogue(self) -> SymbolTable:
        """Return cryptofeed's names of the venue's markets, as the feeds read them."""
        rows, _ = decode_markets(self.venue("GET", "/api/v1/markets").content)
        return symbol_table(rows)

    @property
    def fleet(self) -> SupervisorFleet:
        """Return the fleet as the migration sees it."""
        return SupervisorFleet(load_deployment(self.layout.home))

    def venue(self, method: str, path: str, body: object = None) -> requests.Response:
        """Ask the sandbox's REST or control interface; the CA is the sandbox's own."""
        url = f"{self.layout.rest_url}{path}"
        ca_file = str(self.layout.ca_file)
        answer = requests.request(method, url, json=body, verify=ca_file, timeout=10)
        answer.raise_for_status()
        return answer


@contextmanager
def running_stack(layout: Layout, plan: Path, say: Callable[[str], None]) -> Iterator[Stack]:
    """Yield a deployment whose fleet is ready and whose Airflow schedules; stop it at the end.

    Raises DemoError where a port is taken, Prometheus is missing or a part does not come up.
    """
    prometheus = shutil.which("prometheus")
    if prometheus is None:
        raise DemoError(
            "Prometheus is missing: run 'apt-get install prometheus', or put the binary on PATH"
        )
    require_demo_home(layout)
    with _sole_demo(layout):
        _stop_leftover(layout)
        require_free_ports(layout)
        empty_home(layout)
        yield from _run(layout, plan, prometheus, say)


def _run(
    layout: Layout, plan: Path, prometheus: str, say: Callable[[str], None]
) -> Iterator[Stack]:
    _write_static_files(layout, plan, prometheus)
    processes.adopt_orphans()
    stack = Stack(layout, plan, _start_supervisord(layout))
    try:
        _bring_up(stack, say)
        yield stack
    finally:
        # a second Ctrl-C must not leave half of them running
        for interrupt in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(interrupt, signal.SIG_IGN)
        say("stopping every process")
        stop(stack)


def require_demo_home(layout: Layout) -> None:
    """Raise DemoError for a state directory that a demo must not empty or cannot use."""
    home = layout.home
    if (home / "deployment.yaml").exists() and not (home / MARKER).exists():
        raise DemoError(f"{home} is a deployment of another origin: set another BACKPACK_HOME")
    if home.exists() and not home.is_dir():
        raise DemoError(f"{home} is no directory: set another BACKPACK_HOME")
    # what is not ours is not emptied, now or by the next demo; set-up itself only makes the cache
    strange = {entry.name for entry in home.iterdir()} - {"cache", LOCK} if home.exists() else set()
    if strange and not (home / MARKER).exists():
        raise DemoError(
            f"{home} holds files that no demo made ({', '.join(sorted(strange)[:3])}): "
            "set BACKPACK_HOME to an empty directory"
        )
    # supervisord binds a name ten characters longer, and the kernel takes 107 bytes
    if len(os.fsencode(layout.supervisor_socket)) > MAX_SOCKET_PATH_BYTES:
        raise DemoError(f"{home} is too long a path for a socket: set a shorter BACKPACK_HOME")


def empty_home(layout: Layout) -> None:
    """Remove what an earlier demo left, but for caches, and lay the folders out."""
    home = layout.home
    if (home / MARKER).exists():
        for entry in home.iterdir():
            if entry.name in {"cache", LOCK}:
                continue
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
    for name in ("logs", "fleet", "fleet.d", "prometheus/targets", "sandbox", "airflow", "cache"):
        (home / name).mkdir(parents=True, exist_ok=True)
    (home / MARKER).touch()


def stop(stack: Stack) -> None:
    """End supervisord and everything below it, whatever state they are in."""
    if stack.supervisord.poll() is None:
        # all at once: on its own supervisord would end them one after the other
        with suppress(FleetUnavailable):
            for name in stack.rpc.states():
                stack.rpc.stop(name)
        stack.supervisord.send_signal(signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            stack.supervisord.wait(STOP_DEADLINE_SECONDS)
    processes.end(processes.family())


@contextmanager
def _sole_demo(layout: Layout) -> Iterator[None]:
    """Hold the state directory: two demos in one would destroy each other."""
    try:
        layout.home.mkdir(parents=True, exist_ok=True)
        opened = (layout.home / LOCK).open("w")
    except OSError as error:
        raise DemoError(
            f"{layout.home} cannot be written ({error.strerror}): set another BACKPACK_HOME"
        ) from error
    with opened as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise DemoError(
                f"another demo runs in {layout.home}: stop it, or set another BACKPACK_HOME"
            ) from None
        yield


def _stop_leftover(layout: Layout) -> None:
    """A demo that was killed outright leaves its supervisord: end it before starting anew."""
    with suppress(OSError, ValueError, psutil.NoSuchProcess):
        process = psutil.Process(int((layout.home / "supervisord.pid").read_text()))
        if str(layout.home / "supervisord.conf") in process.cmdline():
            family = process.children(recursive=True)
            process.terminate()
            with suppress(psutil.TimeoutExpired):
                process.wait(STOP_DEADLINE_SECONDS)
            processes.end([*family, process])


def _write_static_files(layout: Layout, plan: Path, prometheus: str) -> None:
    home = layout.home
    commands = airflow_commands(layout.venv_bin / "airflow")
    _write(home / "supervisord.conf", configs.supervisord(layout, commands, prometheus, plan))
    _write(home / "prometheus" / "prometheus.yml", yaml.safe_dump(configs.prometheus(layout)))
    targets = json.dumps(configs.prometheus_targets(layout))
    _write(home / "prometheus" / "targets" / "fleet.json", targets)
    _write(home / "deployment.yaml", yaml.safe_dump(configs.deployment(layout)))
    environment = configs.environment_file(airflow_process_environment(layout, plan))
    _write(home / "airflow" / "airflow.env", environment)


def airflow_process_environment(layout: Layout, plan: Path) -> dict[str, str]:
    """Return what Airflow's processes and its command line need."""
    return {
        **airflow_environment(
            layout.home / "airflow",
            api_port=layout.airflow_port,
            dags_folder=REPOSITORY / "dags",
            plugins_folder=REPOSITORY / "plugins",
        ),
        "BACKPACK_HOME": str(layout.home),
        "BACKPACK_PLAN": str(plan),
        "PROMETHEUS_URL": layout.prometheus_url,
    }


def _start_supervisord(layout: Layout) -> subprocess.Popen[bytes]:
    environment = {
        **without_airflow(os.environ),
        "PATH": f"{layout.venv_bin}:{os.environ.get('PATH', '')}",
        "BACKPACK_HOME": str(layout.home),
        # cryptofeed keeps a symbol cache; nothing is written outside the state directory
        "XDG_CACHE_HOME": str(layout.home / "cache"),
        "PYTHONUNBUFFERED": "1",
    }
    environment.pop("CRYPTOFEED_BACKPACK_NATIVE", None)
    with (layout.home / "logs" / "supervisord.out").open("wb") as output:
        return subprocess.Popen(
            [layout.venv_bin / "supervisord", "-c", layout.home / "supervisord.conf"],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            # Ctrl-C goes to the demo alone, which then stops everything in order
            start_new_session=True,
        )


def _bring_up(stack: Stack, say: Callable[[str], None]) -> None:
    layout = stack.layout
    say("starting the venue and Prometheus")
    migration = _start_database(layout, stack.plan)
    _await(stack, "venue", lambda: stack.venue("GET", "/api/v1/ping").text == "pong")
    say("starting ten FeedHandlers on the ccxt feed")
    _write_feed_configs(stack)
    stack.fleet.write_initial("ccxt")
    _add_fleet(stack)
    say("preparing Airflow's database")
    _finish_database(migration)
    say("starting Airflow")
    for name in airflow_commands(layout.venv_bin / "airflow"):
        stack.rpc.start(name)
    _await(stack, "Prometheus", lambda: _answers(f"{layout.prometheus_url}/-/ready"))
    _await(stack, "fleet", lambda: all(i.ready for i in stack.fleet.instances()))
    _await(stack, "Airflow", lambda: _airflow_is_healthy(layout))
    with AirflowApi(load_deployment(layout.home).airflow) as airflow:
        _await(stack, "DAGs", lambda: airflow.is_known("backpack_migration"))


def _start_database(layout: Layout, plan: Path) -> subprocess.Popen[bytes]:
    environment = {**without_airflow(os.environ), **airflow_process_environment(layout, plan)}
    with (layout.home / "logs" / "airflow-db-migrate.log").open("wb") as output:
        return subprocess.Popen(
            [layout.venv_bin / "airflow", "db", "migrate"],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )


def _finish_database(migration: subprocess.Popen[bytes]) -> None:
    if migration.wait(START_DEADLINE_SECONDS):
        raise DemoError("Airflow's database was not created: see logs/airflow-db-migrate.log")


def _write_feed_configs(stack: Stack) -> None:
    layout = stack.layout
    table = stack.catalogue()
    symbols = [name for name, raw in table.to_venue.items() if table.states[raw] == "Open"]
    for instances, configure in (
        (layout.instances, configs.feed),
        (layout.shadow_instances, configs.shadow),
    ):
        dealt = configs.shards(symbols, len(instances))
        for (name, port), shard in zip(instances.items(), dealt, strict=True):
            text = yaml.safe_dump(configure(layout, name, port, shard))
            _write(layout.home / "fleet" / f"{name}.yaml", text)


def _add_fleet(stack: Stack) -> None:
    added, _, _ = stack.rpc.reload()
    for name in sorted(added):
        stack.rpc.add(name)


def _airflow_is_healthy(layout: Layout) -> bool:
    health = requests.get(f"{layout.airflow_url}/api/v2/monitor/health", timeout=5).json()
    parts = ("metadatabase", "scheduler", "triggerer", "dag_processor")
    # the execution API is built at its first request, which no task should have to wait for
    return all((health.get(part) or {}).get("status") == "healthy" for part in parts) and _answers(
        f"{layout.airflow_url}/execution/health"
    )


def _answers(url: str) -> bool:
    return requests.get(url, timeout=5).ok


def _await(stack: Stack, part: str, ready: Callable[[], bool]) -> None:
    """Poll until `ready`; a refused connection only means not yet."""
    began = time.monotonic()
    while time.monotonic() - began < START_DEADLINE_SECONDS:
        if stack.supervisord.poll() is not None:
            log = stack.layout.home / "logs" / "supervisord.out"
            raise DemoError(f"supervisord ended at its start: {log.read_text().strip()[-300:]}")
        with suppress(requests.RequestException, AirflowUnavailable, OSError):
            if ready():
                stack.started_seconds[part] = round(time.monotonic() - began, 1)
                return
        time.sleep(POLL_SECONDS)
    raise DemoError(
        f"{part} was not ready within {START_DEADLINE_SECONDS:.0f} s: "
        f"see {stack.layout.home / 'logs'}"
    )


def _write(path: Path, text: str) -> None:
    """Write for the owner alone: who reads it learns where everything is."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o600)
    path.write_text(text)
