"""An event loop in which waiting costs nothing: when nothing is ready, time jumps ahead.

Backoffs, watchdogs and quiet minutes of the real code pass in microseconds, and always the same.
"""

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any

type _Ready = list[tuple[selectors.SelectorKey, int]]


class DeadlockError(RuntimeError):
    """Everything waits, and for nothing that time alone could bring."""


class _JumpingSelector(selectors.SelectSelector):
    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def select(self, timeout: float | None = None) -> _Ready:
        ready = super().select(0)
        if not ready and timeout is None:
            raise DeadlockError("the replay waits for something that never comes")
        if not ready and timeout:
            self.now += timeout
        return ready


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """Its `time()` starts at 0 and only moves while everything waits; without real I/O."""

    def __init__(self) -> None:
        self._jumping = _JumpingSelector()
        super().__init__(self._jumping)

    def time(self) -> float:
        """Return the virtual seconds since the start."""
        return self._jumping.now


def run[T](work: Coroutine[Any, Any, T]) -> T:
    """Run `work` to its end in a virtual time of its own."""
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        return runner.run(work)
