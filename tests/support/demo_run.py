"""A whole demo under way: as a newcomer runs it, in a state directory of its own."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import yaml

from tests.support.conditions import eventually_sync
from tools.demo.layout import REPOSITORY, Layout, free_port_base, ports_in_use

DEMO_PLAN = REPOSITORY / "plans" / "demo.yaml"
DEADLINE_SECONDS = 420
STEP_SECONDS = 240
FLEET_SIZE = 4
# shells start these with Ctrl-C ignored: a demo ends by it all the same
AS_A_BACKGROUND_JOB = ("sh", "-c", 'trap "" INT; exec "$@"', "sh")


@dataclass
class Demo:
    """One demo under way; `home` is its state directory."""

    home: Path
    layout: Layout
    process: subprocess.Popen[str]

    def log(self) -> str:
        """What it has printed."""
        return (self.home.parent / "demo.log").read_text()

    def reach(self, step: str) -> None:
        """Wait until the migration is at `step`; fail at once where the demo ended before."""

        def there_or_over() -> bool:
            return f"step {step}" in self.log() or self.process.poll() is not None

        eventually_sync(there_or_over, STEP_SECONDS, self.log)
        assert f"step {step}" in self.log(), self.log()

    def finish(self) -> int:
        """Wait for its end; a demo that hangs is interrupted, so that nothing is left behind."""
        try:
            return self.process.wait(DEADLINE_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.send_signal(signal.SIGINT)
            self.process.wait(60)
            raise

    @contextmanager
    def standing_still(self) -> Iterator[None]:
        """Stop the demo's own process, not its stack: that stays up, whatever the migration does."""
        self.process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.process.send_signal(signal.SIGCONT)

    def report(self) -> Any:
        """Its report for machines."""
        return json.loads((self.home / "report.json").read_text())

    def processes(self) -> list[psutil.Process]:
        """Every process that was started for this state directory."""
        return [process for process in psutil.process_iter() if self._belongs(process)]

    def left_behind(self) -> tuple[list[list[str]], dict[str, int]]:
        """Command lines of what still runs, and ports that are still taken."""
        return [process.cmdline() for process in self.processes()], ports_in_use(self.layout)

    def kill(self, *words: str) -> None:
        """Kill -9 the first process whose command line has all `words`, once there is one."""

        def victim() -> psutil.Process | None:
            return next(
                (
                    process
                    for process in self.processes()
                    if all(word in " ".join(process.cmdline()) for word in words)
                ),
                None,
            )

        eventually_sync(victim, 60).kill()

    def _belongs(self, process: psutil.Process) -> bool:
        try:
            return process.environ().get("BACKPACK_HOME") == str(self.home)
        except (psutil.Error, OSError):
            return False


def write_short_plan(path: Path) -> Path:
    """The demo's own criteria in shorter gates, and half of the fleet at once."""
    plan = yaml.safe_load(DEMO_PLAN.read_text())
    phases = plan["phases"]
    phases["cutover"]["steps"] = phases["cutover"]["steps"][1:]
    gates = [phases["shadow"]["gate"], phases["stabilisation"]["gate"]]
    for gate in [*gates, *(step["gate"] for step in phases["cutover"]["steps"])]:
        gate["min_duration"] = "10s"
    path.write_text(yaml.safe_dump(plan, sort_keys=False))
    return path


@contextmanager
def demos(directory: Path) -> Iterator[Callable[..., Demo]]:
    """Yield what starts a demo in `directory` on free ports; end those that are left running."""
    started: list[Demo] = []

    def start(*arguments: str, variables: Mapping[str, str] | None = None) -> Demo:
        started.append(_start(directory, arguments, variables or {}))
        return started[-1]

    try:
        yield start
    finally:
        for demo in started:
            if demo.process.poll() is None:
                demo.process.send_signal(signal.SIGINT)
                demo.process.wait(60)


def _start(directory: Path, arguments: tuple[str, ...], variables: Mapping[str, str]) -> Demo:
    home, base = directory / "var", free_port_base()
    plan = write_short_plan(directory / "short.yaml")
    options = [
        *("--plan", str(plan)),
        *("--fleet-size", str(FLEET_SIZE)),
        *("--port-base", str(base)),
    ]
    with (directory / "demo.log").open("w") as log:
        process = subprocess.Popen(
            [*AS_A_BACKGROUND_JOB, sys.executable, "-m", "tools.demo", *options, *arguments],
            cwd=REPOSITORY,
            env={**os.environ, **variables, "BACKPACK_HOME": str(home)},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            text=True,
        )
    return Demo(home, Layout(home, port_base=base, fleet_size=FLEET_SIZE), process)
