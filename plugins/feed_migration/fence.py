"""The fleet's fence: a file of epochs, a line each. Who comes below the highest is refused.

The lock keeps two actors from acting on the fleet at once. It is held by a process, and a process
can be stopped (SIGSTOP) with the lock in its hand: a rollback must not wait for it. So whoever
waits longer than `wait_seconds` writes the higher epoch without the lock and goes on, also to its
later acts; the stopped one finds the epoch before its next write to the fleet, and gives up. It
may have been stopped before it wrote its own: lines are appended, so that comes too late to count.
"""

import fcntl
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import IO

from feed_migration.durable import append_line, write_text
from feed_migration.errors import FleetBusy, FleetUnavailable, StaleEpoch

WAIT_SECONDS = 5.0
_POLL_SECONDS = 0.02


def read_epoch(path: Path, *, repair: bool = False) -> int:
    """Return the highest epoch in `path`, 0 where there is none; raises `FleetUnavailable`.

    With `repair`, for the way back, what is no epoch does not count, and the others do.
    """
    try:
        epoch, damage = _parsed(path.read_bytes())
    except FileNotFoundError:
        return 0
    except OSError as error:
        epoch, damage = 0, str(error)
    if damage and not repair:
        raise FleetUnavailable(
            f"fence {path} is unreadable ({damage})",
            "write into it the highest epoch of `backpack-migrate audit export`",
        )
    return epoch


def _parsed(raw: bytes) -> tuple[int, str]:
    """Return the highest epoch in `raw`, and what is none, "" for nothing."""
    words = raw.split()
    epochs = [int(word) for word in words if word.isdigit()]
    damaged = [word for word in words if not word.isdigit()]
    return max(epochs, default=0), f"{damaged[0]!r} is no epoch" if damaged else ""


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
        self._repairing: int | None = None

    def epoch(self, *, repair: bool = False) -> int:
        """Return the highest epoch admitted so far."""
        return read_epoch(self.path, repair=repair)

    def check(self, epoch: int, *, repair: bool = False) -> None:
        """Raise `StaleEpoch` unless `epoch` is still the highest."""
        current = self.epoch(repair=repair or epoch == self._repairing)
        if epoch < current:
            raise StaleEpoch(presented=epoch, current=current)

    @contextmanager
    def admitted(self, epoch: int, *, repair: bool = False) -> Iterator[None]:
        """Raise the fence to `epoch` and hold the fleet; raises `StaleEpoch` if it is too low.

        `repair` is for the way back: it goes by what is whole of a damaged file, and mends it.
        """
        self.check(epoch, repair=repair)
        with self._lock_file() as lock:
            # who has overtaken a stopped holder knows that it is stopped
            patience = 0.0 if self._overtook == epoch else self._wait_seconds
            waited_for = self._acquire(lock, patience)
            with _held(lock, epoch) if waited_for else nullcontext():
                self._raise_to(epoch, waited_for=waited_for, repair=repair)
                yield

    @property
    def _lock_path(self) -> Path:
        return self.path.with_name("epoch.lock")

    def _lock_file(self) -> IO[bytes]:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            return self._lock_path.open("ab")
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
        repair = repair or epoch == self._repairing
        current = self.epoch(repair=repair)
        if epoch < current:
            raise StaleEpoch(presented=epoch, current=current)
        if not waited_for and epoch == current != self._overtook and self._holder() >= epoch:
            raise _busy(epoch)
        lines_of_this_epoch = 0
        try:
            if epoch > current:
                self._write(epoch, waited_for=waited_for, repair=repair)
                lines_of_this_epoch = self.path.read_bytes().split().count(b"%d" % epoch)
            elif repair and waited_for:
                self._mend(epoch)
        except OSError as error:
            raise self._unwritable(error) from error
        # who could not wait may have come in between, with a higher epoch or with this one
        self.check(epoch, repair=repair)
        if lines_of_this_epoch > 1:
            raise _busy(epoch)
        self._overtook = None if waited_for else epoch
        self._repairing = epoch if repair else None

    def _write(self, epoch: int, *, waited_for: bool, repair: bool) -> None:
        try:
            if not (repair and waited_for and self._mend(epoch)):
                append_line(self.path, str(epoch))
            # a line can only be lost to somebody who mends meanwhile
            while self.epoch(repair=repair) < epoch:
                append_line(self.path, str(epoch))
        except OSError:
            if not repair:
                raise
            # for the way back a full disk still takes it in the place of the others, and a file
            # that is not ours is replaced
            self.check(epoch, repair=True)
            write_text(self.path, f"{epoch}\n")

    def _mend(self, epoch: int) -> bool:
        """Put `epoch` in the place of a damaged file, and return whether there was one.

        What others append to that meanwhile stays.
        """
        try:
            old = self.path.open("rb")
        except FileNotFoundError:
            return False
        with old:
            if not _parsed(old.read())[1]:
                return False
            write_text(self.path, f"{epoch}\n")
            old.seek(0)
            missed, _ = _parsed(old.read())
        if missed > epoch:
            append_line(self.path, str(missed))
        return True

    def _holder(self) -> float:
        """Return the epoch of who holds the lock, infinity where nobody can tell.

        One of a lower epoch is fenced off already: it was stopped, and is in nobody's way.
        """
        try:
            return int(self._lock_path.read_bytes())
        except (OSError, ValueError):
            return math.inf


@contextmanager
def _held(lock: IO[bytes], epoch: int) -> Iterator[None]:
    """Say in the lock's file who holds it; where that cannot be, it may be anybody."""
    with suppress(OSError):
        lock.truncate(0)
        lock.write(f"{epoch}\n".encode())
        lock.flush()
    try:
        yield
    finally:
        with suppress(OSError):
            lock.truncate(0)


def _busy(epoch: int) -> FleetBusy:
    return FleetBusy(
        f"another process of epoch {epoch} holds the fleet",
        "wait for it to end; `backpack-migrate rollback` takes over by a higher epoch",
    )
