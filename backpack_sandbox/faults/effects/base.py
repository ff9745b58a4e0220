"""What every effect on frames is, when it strikes, and how it edits a frame."""

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any, Final

import msgspec

HIT_EVERY_SECONDS: Final = 2.0
DRIFT_SHARE: Final = 0.1

type Memory = dict[str, deque[bytes]]
"""Stream → its last frames; outlives a socket, and belongs to the client that comes back."""


def _nowhere(_payload: bytes) -> None:
    """No socket there."""


@dataclass(frozen=True, slots=True)
class Tools:
    """What an effect works with.

    `clock` is monotonic seconds, `rng` decides when, `memory` is shared by the client's sockets.
    `first_ids` is, of a sequence restart, symbol → the true (update id, trade id) that became 1.
    """

    clock: Callable[[], float]
    rng: Random
    memory: Memory = field(default_factory=dict)
    send_binary: Callable[[bytes], None] = _nowhere
    first_ids: Mapping[str, tuple[int, int]] = field(default_factory=dict)


class FrameEffect:
    """Leaves everything as it is; the effects change one thing each."""

    timed = False
    """It holds or makes frames on its own, so `overdue` must be asked often."""

    def frame(self, _stream: str, frame: bytes) -> Sequence[bytes]:
        """What the socket gets in place of `frame`, in order."""
        return (frame,)

    def subscribed(self, _stream: str) -> Sequence[bytes]:
        """What the socket gets when it subscribes to the stream."""
        return ()

    def overdue(self) -> Sequence[bytes]:
        """Give up the frames that were held back for long enough."""
        return ()

    def end(self) -> Sequence[bytes]:
        """Give up every frame that was held back: the fault is over."""
        return ()


class Pace:
    """When a stream is hit: a share of its frames, or without one about every two seconds."""

    def __init__(self, share: float | None, tools: Tools) -> None:
        self._share = share
        self._clock = tools.clock
        self._rng = tools.rng
        self._next: dict[str, float] = {}

    def hits(self, stream: str) -> bool:
        """Whether the stream's present frame is hit."""
        if self._share is not None:
            return self._rng.random() < self._share
        now = self._clock()
        if now < self._next.setdefault(stream, now + self._rng.random() * HIT_EVERY_SECONDS):
            return False
        self._next[stream] = now + self._rng.uniform(0.5, 1.5) * HIT_EVERY_SECONDS
        return True


def drift_pace(share: float | None, tools: Tools) -> Pace:
    """The pace of what hits one frame of ten when no share is given."""
    return Pace(DRIFT_SHARE if share is None else share, tools)


def edited(frame: bytes, edit: Callable[[dict[str, Any]], None]) -> bytes:
    """The frame with its `data` changed in place by `edit`; keys stay in order."""
    message = msgspec.json.decode(frame)
    edit(message["data"])
    return msgspec.json.encode(message)
