"""A venue, a supervisord and real feed processes with tapes, in a directory of their own."""

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import requests
import yaml

from feed_migration.errors import FleetUnavailable
from feed_migration.fleet.supervisor_conf import conf_path
from feed_migration.fleet.supervisor_rpc import SupervisorRpc
from feed_migration.journal.keys import AuditPlace, make_key
from tests.chaos.cycles.driver import Hands
from tests.support.conditions import eventually_sync
from tests.support.handler_process import write_config
from tests.support.supervised_fleet import free_ports, start_supervisord

SYMBOLS = ("SOL-USDC", "kPEPE-USDC-PERP")
SIZE = 3
TRADES_PER_SECOND = 4.0
READY_SECONDS = 30.0
_BIN = Path(sys.executable).parent


class Venue:
    """`backpack-sandbox serve`, and its control endpoints."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.ledger_file = folder / "ledger.jsonl"
        self.ca_file = folder / "ca.pem"
        command = [_BIN / "backpack-sandbox", "serve", "--state-dir", folder, "--port", "0"]
        command += ["--seed", str(seed), "--trades", str(TRADES_PER_SECOND)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE)
        said = json.loads(self.process.stdout.readline())
        self.rest_url, self.ws_url = said["rest_url"], said["ws_url"]

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """One request below /sandbox."""
        with requests.Session() as session:
            session.trust_env = False
            url = f"{self.rest_url}/sandbox{path}"
            answer = session.request(method, url, json=body, verify=str(self.ca_file), timeout=10)
        answer.raise_for_status()
        return answer.json()

    def last_trade_ids(self) -> dict[str, int]:
        """The newest trade of each market, by cryptofeed's symbol."""
        found = self.ask("GET", "/truth/last_ids")
        return {s: found[s.replace("-", "_")]["trade_id"] for s in SYMBOLS}


class Stage:
    """The processes; `hands` are those of the checker, who acts on nothing."""

    def __init__(self, home: Path, venue: Venue) -> None:
        self.home, self.venue = home, venue
        self.hands = Hands(home)
        self.names = [instance.id for instance in self.hands.deployment.instances]
        self.supervisord = start_supervisord(home)

    def variants(self) -> dict[str, str]:
        """What each instance says it runs."""
        return {status.id: status.variant for status in self.hands.fleet.instances()}

    def tape_folder(self, name: str) -> Path:
        """The folder with `name`'s tape in it."""
        return self.home / "tapes" / name

    def kill_feed(self, place: int) -> bool:
        """SIGKILL; whether there was a process to kill."""
        return self.signal_feed(place, signal.SIGKILL) is not None

    def signal_feed(self, place: int, number: signal.Signals) -> int | None:
        """Send a signal to an instance; its pid, None where it has no process."""
        config = str(self.hands.deployment.instances[place].config)
        for process in self._family():
            with suppress(psutil.Error):
                if config in process.cmdline() and process.status() != psutil.STATUS_ZOMBIE:
                    process.send_signal(number)
                    return process.pid
        return None

    def kill_supervisord(self) -> None:
        """SIGKILL of supervisord alone, as the kernel does when memory is short."""
        self.supervisord.kill()
        self.supervisord.wait()

    def start_supervisord(self) -> None:
        """Start it anew, with the files as they are, and wait until it answers."""
        self.supervisord = start_supervisord(self.home)
        eventually_sync(self.supervised, READY_SECONDS)

    def supervised(self) -> bool:
        """Whether supervisord answers; its socket alone may be a dead one's."""
        try:
            SupervisorRpc(self.hands.deployment.fleet.socket).states()
        except FleetUnavailable:
            return False
        return True

    def end(self) -> None:
        """End the feeds by SIGTERM through supervisord, whatever is left by SIGKILL."""
        self.supervisord.terminate()
        with suppress(subprocess.TimeoutExpired):
            self.supervisord.wait(timeout=30)
        left = self._family()
        for process in left:
            with suppress(psutil.Error):
                process.kill()
        psutil.wait_procs(left, timeout=10)

    def _family(self) -> list[psutil.Process]:
        """Every process that was started for this home, also such as lost their parent."""
        found = []
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                if any(str(self.home) in word for word in process.cmdline()):
                    found.append(process)
        mine = {os.getpid(), self.venue.process.pid}
        return [process for process in found if process.pid not in mine]


@contextmanager
def staged(seed: int) -> Iterator[Stage]:
    """A fleet on ccxt, all ready; everything is stopped and deleted at the end."""
    # a unix socket's path must be short
    with ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="cycles-")))
        venue = Venue(home / "venue", seed)
        stack.callback(_end_venue, venue.process)
        _write_deployment(home, venue)
        make_key(AuditPlace.of(home, {}))
        Hands(home).fleet.write_initial("ccxt")
        stage = Stage(home, venue)
        stack.callback(stage.end)
        eventually_sync(stage.supervised, READY_SECONDS)
        stage.hands.fleet.wait_ready(stage.names, "ccxt", READY_SECONDS)
        yield stage


def written_variants(stage: Stage) -> dict[str, str]:
    """What the files make of each instance at its next start."""
    deployment = stage.hands.deployment
    native = 'NATIVE="true"'
    return {
        name: "native" if native in conf_path(deployment, name).read_text() else "ccxt"
        for name in stage.names
    }


def _write_deployment(home: Path, venue: Venue) -> None:
    names = [f"feed-{place:02}" for place in range(SIZE)]
    entries = []
    for place, (name, port) in enumerate(zip(names, free_ports(SIZE), strict=True)):
        folder = home / "tapes" / name
        folder.mkdir(parents=True)
        where = SimpleNamespace(rest_url=venue.rest_url, ws_url=venue.ws_url, ca_file=venue.ca_file)
        config = write_config(
            folder,
            where,
            [SYMBOLS[place % len(SYMBOLS)]],
            instance_id=name,
            metrics={"host": "127.0.0.1", "port": port},
        )
        url = f"http://127.0.0.1:{port}"
        entries.append({"id": name, "url": url, "config": str(config.relative_to(home))})
    document = {
        "prometheus_url": "http://127.0.0.1:9",
        "fleet": {"ready_deadline_seconds": READY_SECONDS, "max_unavailable": SIZE},
        "instances": entries,
    }
    (home / "deployment.yaml").write_text(yaml.safe_dump(document))


def _end_venue(process: subprocess.Popen) -> None:
    process.terminate()
    process.communicate(timeout=20)
