"""A real guard over a real deployment, as the command starts it, and a plan that is quick."""

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import requests

from tests.support.conditions import eventually_sync

COMMAND = Path(sys.executable).parent / "backpack-migrate"
QUICK_PLAN = """
name: quick
defaults: {interval: 1s, evaluation_delay: 0.3s, min_duration: 1m, max_duration: 1h, blind_limit: 5s}
criteria:
- name: stale
  query: max by (instance_id) (backpack_feed_symbol_snapshot_age_seconds{variant="native"})
  success: {max: 30}
  failure: {min: 45}
  expect_series: fleet
  severity: hard
  confirm_interval: 0.5s
phases:
  preflight: {}
  dry_run: {}
  shadow: {gate: {criteria: [stale]}}
  cutover:
    steps:
    - {percent: 50, gate: {criteria: [stale]}}
    - {percent: 100, gate: {criteria: [stale]}}
  stabilisation: {gate: {criteria: [stale]}}
  post_migration: {}
"""


class GuardProcess:
    """One `backpack-migrate guard run`; `log` are its lines so far."""

    def __init__(self, home: Path, plan: Path, prometheus_url: str) -> None:
        environment = {**os.environ, "BACKPACK_HOME": str(home), "PROMETHEUS_URL": prometheus_url}
        self.log: list[str] = []
        self.process = subprocess.Popen(
            [COMMAND, "guard", "run", "--plan", plan, "--interval", "0.1"],
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def url(self) -> str:
        """Where it says that it listens."""
        found = eventually_sync(
            lambda: re.findall(r"http://\S+(?=/healthz)", "".join(self.log)), 30, lambda: self.log
        )
        return str(found[0])

    def health(self) -> dict[str, Any]:
        """What /healthz says."""
        answer: dict[str, Any] = requests.get(f"{self.url}/healthz", timeout=30).json()
        return answer

    def kill(self) -> None:
        """Kill -9, and wait for the end."""
        self.process.kill()
        self.wait()

    def end(self) -> int:
        """SIGTERM, and the exit code."""
        self.process.send_signal(signal.SIGCONT)
        self.process.terminate()
        return self.wait()

    def wait(self) -> int:
        """Wait for the end and the last line; returns the exit code."""
        code = self.process.wait(30)
        self._reader.join(10)
        return code

    def _read(self) -> None:
        assert self.process.stderr
        with self.process.stderr as lines:
            self.log.extend(lines)


@contextmanager
def guarding(home: Path, plan: Path, prometheus_url: str) -> Iterator[GuardProcess]:
    """Yield a guard that has begun its rounds; it is ended with the block."""
    guard = GuardProcess(home, plan, prometheus_url)
    try:
        eventually_sync(lambda: guard.health()["polled_unix"] > 0, 30, lambda: guard.log)
        yield guard
    finally:
        guard.kill()
