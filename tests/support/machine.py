"""The machine as tests of several workers share it: beside each other, or one of them alone."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO


class Machine:
    """Locks in `folder`, the same one for all workers of a run."""

    def __init__(self, folder: Path) -> None:
        self._entrance = (folder / "entrance").open("w")
        self._machine = (folder / "machine").open("w")

    @contextmanager
    def beside_others(self) -> Iterator[None]:
        """Wait for whoever is alone, or is waiting to be."""
        with _locked(self._entrance, fcntl.LOCK_EX):
            fcntl.flock(self._machine, fcntl.LOCK_SH)
        try:
            yield
        finally:
            fcntl.flock(self._machine, fcntl.LOCK_UN)

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Wait until all others are through; nobody new comes in from now on."""
        with _locked(self._entrance, fcntl.LOCK_EX), _locked(self._machine, fcntl.LOCK_EX):
            yield

    def close(self) -> None:
        """Give the files back."""
        self._entrance.close()
        self._machine.close()


@contextmanager
def _locked(file: IO[str], operation: int) -> Iterator[None]:
    fcntl.flock(file, operation)
    try:
        yield
    finally:
        # not left to the closing of the file: children that a test forked have it open, too
        fcntl.flock(file, fcntl.LOCK_UN)
