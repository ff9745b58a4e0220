"""The fleet's fence: a file of epochs, a line each. Who comes below the highest is refused.

The lock keeps two actors from acting on the fleet at once. It is held by a process, and a process
can be stopped (SIGSTOP) with the lock in its hand: a rollback must not wait for it. So whoever
waits longer than `wait_seconds` writes the higher epoch without the lock and goes on, also to its
later acts; the stopped one finds the epoch before its next write to the fleet, and gives up. It
may have been stopped before it wrote its own: lines are appended, so that comes too late to count.
"""

import errno
import fcntl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from feed_migration.durable import append_line, write_text
from feed_migration.errors import FleetBusy, FleetUnavailable, StaleEpoch

WAIT_SECONDS = 5.0
_POLL_SECONDS = 0.02


def read_epoch(path: Path) -> int:
    """Return the highest epoch in `path`, 0 where there is none; raises `FleetUnavailable`."""
    try:
        return max(map(int, path.read_text().split()), default=0)
    except FileNotFoundError:
        return 0
    except (OSError, ValueError) as error:
        raise FleetUnavailable(
            f"fence {path} is unreadable ({error})",
            "write into it the highest epoch of `backpack-migrate audit export`",
        ) from error


class Fence:
    """Admits actors in the order of their epochs."""

    def __init__(
        self,
        path: Path,
        *,
        wait_seconds: float = WAIT_SECONDS,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.path = path
        self._wait_seconds = wait_seconds
        self._monotonic = monotonic
        self._sleep = sleep
        self._overtook: int | None = None

    def epoch(self) -> int:
        """Return the highest epoch admitted so far."""
        return read_epoch(self.path)

    def check(self, epoch: int, *, repair: bool = False) -> None:
        """Raise `StaleEpoch` unless `epoch` is still the highest."""
        current = self._current(repair=repair)
        if epoch < current:
            raise StaleEpoch(presented=epoch, current=current)

    @contextmanager
    def admitted(self, epoch: int, *, repair: bool = False) -> Iterator[None]:
        """Raise the fence to `epoch` and hold the fleet; raises `StaleEpoch` if it is too low.

        `repair` is for the way back: a file that holds no epoch counts as 0 and is overwritten.
        """
        self.check(epoch, repair=repair)
        with self._lock_file() as lock:
            # who has overtaken a stopped holder knows that it is stopped
            patience = 0.0 if self._overtook == epoch else self._wait_seconds
            self._raise_to(epoch, waited_for=self._acquire(lock, patience), repair=repair)
            yield

    def _current(self, *, repair: bool) -> int:
        try:
            return self.epoch()
        except FleetUnavailable:
            if not repair:
                raise
            return 0

    def _lock_file(self) -> IO[bytes]:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            return self.path.with_name("epoch.lock").open("ab")
        except OSError as error:
            raise self._unwritable(error) from error

    def _unwritable(self, error: OSError) -> FleetUnavailable:
        return FleetUnavailable(
            f"fence {self.path} cannot be written ({error.strerror})",
            "free the disk or fix its rights",
        )

    def _acquire(self, lock: IO[bytes], patience_seconds: float) -> bool:
        deadline = self._monotonic() + patience_seconds
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if self._monotonic() >= deadline:
                    return False
                self._sleep(_POLL_SECONDS)
            else:
                return True

    def _raise_to(self, epoch: int, *, waited_for: bool, repair: bool) -> None:
        current = self._current(repair=repair)
        if epoch < current:
            raise StaleEpoch(presented=epoch, current=current)
        if not waited_for and epoch == current != self._overtook:
            raise FleetBusy(
                f"another process of epoch {epoch} holds the fleet",
                "wait for it to end; `backpack-migrate rollback` takes over by a higher epoch",
            )
        if epoch > current:
            try:
                self._write(epoch)
            except OSError as error:
                raise self._unwritable(error) from error
            self._overtook = None if waited_for else epoch
            # who could not wait may have come in between
            self.check(epoch, repair=repair)

    def _write(self, epoch: int) -> None:
        try:
            self.epoch()
            append_line(self.path, str(epoch))
        except FleetUnavailable:
            # only the way back comes so far with a file that holds none
            write_text(self.path, f"{epoch}\n")
        except OSError as error:
            if error.errno not in {errno.ENOSPC, errno.EDQUOT}:
                raise
            # a full disk still takes it in the place of the others
            write_text(self.path, f"{epoch}\n")
