"""An environment that holds the built wheel and what the wheel declares, and nothing else."""

import os
import subprocess
import sys
import venv
from collections.abc import Iterator
from importlib.metadata import Distribution, distribution
from pathlib import Path

from packaging.requirements import Requirement

REPOSITORY = Path(__file__).resolve().parents[2]
BUILD_SECONDS = 60


class PlainEnvironment:
    """A virtual environment in `directory` after `pip install .`, without the network.

    The wheel is really built and installed. The distributions that it asks for, and theirs, are
    linked from the environment of the tests, each checked against the range that asked for it.
    """

    def __init__(self, directory: Path) -> None:
        self.python = directory / "bin" / "python"
        self.linked: set[str] = set()
        self._directory = directory
        self._packages = directory / "lib" / f"python3.{sys.version_info.minor}" / "site-packages"

    def create(self, extras: str = "") -> None:
        """Build, install, and link the closure of the wheel's dependencies and `extras`."""
        venv.create(self._directory, symlinks=True)
        wheels = self._directory / "wheels"
        _pip("wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", wheels, REPOSITORY)
        (wheel,) = wheels.glob("*.whl")
        _pip("--python", self.python, "install", "--no-deps", "--no-index", wheel)
        (installed,) = Distribution.discover(name="backpack-migration", path=[str(self._packages)])
        self._link_all(_wanted(installed, {extras} if extras else set()))

    def check(self) -> str:
        """What `pip check` says of the environment; raises when a declared package is missing."""
        return _pip("--python", self.python, "check")

    def run(self, code: str) -> subprocess.CompletedProcess[str]:
        """Run a line of Python there, away from the checkout."""
        return subprocess.run(
            [self.python, "-c", code],
            cwd=self._directory,
            env=environment(),
            capture_output=True,
            text=True,
            check=False,
        )

    def _link_all(self, requirements: Iterator[Requirement]) -> None:
        for requirement in requirements:
            found = distribution(requirement.name)
            assert requirement.specifier.contains(found.version), requirement
            self._link(found)
            self._link_all(_wanted(found, requirement.extras))

    def _link(self, found: Distribution) -> None:
        if found.name in self.linked:
            return
        self.linked.add(found.name)
        for name in {file.parts[0] for file in found.files or () if file.parts[0] != ".."}:
            if name not in {"__pycache__", "bin"}:
                (self._packages / name).symlink_to(Path(str(found.locate_file(name))))


def environment() -> dict[str, str]:
    """The variables of this process without those that lead back into the checkout."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PYTHON", "AIRFLOW", "VIRTUAL_ENV"))
    }


def _wanted(found: Distribution, extras: set[str]) -> Iterator[Requirement]:
    for text in found.requires or ():
        requirement = Requirement(text)
        marker = requirement.marker
        if marker is None or any(marker.evaluate({"extra": extra}) for extra in {"", *extras}):
            yield requirement


def _pip(*arguments: str | Path) -> str:
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", *map(str, arguments)]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=BUILD_SECONDS,
        env=environment(),
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
