"""No process left behind: adopts orphans, and ends a family whatever state it is in."""

import ctypes
import os
from collections.abc import Iterable
from contextlib import suppress

import psutil

KILL_DEADLINE_SECONDS = 20.0
_PR_SET_CHILD_SUBREAPER = 36


def adopt_orphans() -> None:
    """Become the parent of grandchildren that lose theirs (Linux; elsewhere nothing happens).

    A scheduler killed outright leaves its LocalExecutor workers idle for ever, and their parent
    would be process 1, out of our sight. See prctl(2), PR_SET_CHILD_SUBREAPER.
    """
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def family() -> list[psutil.Process]:
    """Return every descendant of this process."""
    return psutil.Process(os.getpid()).children(recursive=True)


def end(processes: Iterable[psutil.Process]) -> None:
    """Kill those that still run and wait until they are gone."""
    victims = list(processes)
    for process in victims:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(victims, timeout=KILL_DEADLINE_SECONDS)
