"""The docker engine: the machine's, or one of our own that leaves nothing behind."""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

START_DEADLINE_SECONDS = 60.0
STOP_DEADLINE_SECONDS = 60.0
_STORAGE_DRIVERS = ("overlay2", "vfs")


class CheckError(Exception):
    """The check cannot go on, or found what must not be; one line."""


@dataclass(frozen=True)
class Engine:
    """Where commands of docker go. `host` "" is the machine's own engine."""

    host: str = ""

    @property
    def environment(self) -> dict[str, str]:
        """The variables that docker and docker-compose run with."""
        return {**os.environ, **({"DOCKER_HOST": self.host} if self.host else {})}

    def docker(self, *arguments: str, check: bool = True, timeout: float = 600.0) -> str:
        """Run docker and return its output; CheckError with its last line where it fails."""
        return run(["docker", *arguments], self.environment, check=check, timeout=timeout)


def run(
    argv: Sequence[str],
    environment: dict[str, str] | None = None,
    *,
    check: bool = True,
    timeout: float = 600.0,
) -> str:
    """Return what a command prints on both outputs; CheckError with its last lines if it fails."""
    done = subprocess.run(
        argv,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=timeout,
        check=False,
    )
    if check and done.returncode != 0:
        tail = " | ".join(done.stdout.strip().splitlines()[-4:])
        raise CheckError(f"{' '.join(argv[:4])} … exited with {done.returncode}: {tail}")
    return done.stdout


@contextmanager
def machine_engine() -> Iterator[Engine]:
    """Yield the engine that `docker` talks to here; CheckError where none answers."""
    engine = Engine()
    engine.docker("version")
    yield engine


@contextmanager
def own_engine(folder: Path) -> Iterator[Engine]:
    """Yield an engine with everything below `folder`, root only; it ends with the block."""
    if os.geteuid() != 0 or shutil.which("dockerd") is None:
        raise CheckError("an engine of our own needs root and dockerd: apt-get install docker.io")
    folder.mkdir(parents=True, exist_ok=True)
    tried: list[str] = []
    for driver in _STORAGE_DRIVERS:
        with (folder / f"dockerd.{driver}.log").open("wb") as log:
            process = subprocess.Popen(
                _dockerd_argv(folder, driver),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        engine = Engine(f"unix://{folder / 'docker.sock'}")
        try:
            if _answers(engine, process):
                yield engine
                return
        finally:
            _end(process)
            _unmount(folder)
        tried.append(f"{driver}: {_last_line(folder / f'dockerd.{driver}.log')}")
    raise CheckError(f"dockerd does not start: {'; '.join(tried)}")


def _dockerd_argv(folder: Path, driver: str) -> list[str]:
    argv = [
        "dockerd",
        f"--data-root={folder / 'data'}",
        f"--exec-root={folder / 'exec'}",
        f"--pidfile={folder / 'dockerd.pid'}",
        f"--host=unix://{folder / 'docker.sock'}",
        f"--storage-driver={driver}",
    ]
    init = shutil.which("docker-init") or shutil.which("tini-static") or shutil.which("tini")
    return [*argv, f"--init-path={init}"] if init else argv


def _answers(engine: Engine, process: "subprocess.Popen[bytes]") -> bool:
    deadline = time.monotonic() + START_DEADLINE_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            engine.docker("version", timeout=10)
        except (CheckError, subprocess.TimeoutExpired):
            time.sleep(0.5)
        else:
            return True
    return False


def _end(process: "subprocess.Popen[bytes]") -> None:
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(STOP_DEADLINE_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(STOP_DEADLINE_SECONDS)


def _unmount(folder: Path) -> None:
    """Take off what dockerd leaves mounted, its namespace of networks; it keeps the folder."""
    for point in mounts_below(folder, Path("/proc/self/mounts").read_text()):
        run(["umount", point], check=False)


def mounts_below(folder: Path, mounts: str) -> list[str]:
    """Return the mount points below `folder`, what is inside another one first."""
    points = (line.split()[1] for line in mounts.splitlines())
    return sorted((point for point in points if Path(point).is_relative_to(folder)), reverse=True)


def _last_line(path: Path) -> str:
    lines = path.read_text(errors="replace").strip().splitlines()
    return lines[-1] if lines else "no word"
