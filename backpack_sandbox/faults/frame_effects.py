"""What one fault does to the frames of one socket, stream by stream."""

from collections import deque
from collections.abc import Callable, Sequence
from random import Random
from typing import Any, Final, override

import msgspec

HIT_EVERY_SECONDS: Final = 2.0
HIT_FRAMES_MAX: Final = 3
DRIFT_SHARE: Final = 0.1
HELD_MAX_SECONDS: Final = 1.0

type Memory = dict[str, deque[bytes]]
"""Stream → its last frames; outlives a socket, and belongs to the client that comes back."""


class FrameEffect:
    """Leaves everything as it is; the effects below change one thing each."""

    def frame(self, _stream: str, frame: bytes) -> Sequence[bytes]:
        """What the socket gets in place of `frame`, in order."""
        return (frame,)

    def subscribed(self, _stream: str) -> Sequence[bytes]:
        """What the socket gets when it subscribes to the stream."""
        return ()

    def overdue(self) -> Sequence[bytes]:
        """Give up the frames that were held back for too long."""
        return ()

    def end(self) -> Sequence[bytes]:
        """Give up every frame that was held back: the fault is over."""
        return ()


class Pace:
    """When a stream is hit: a share of its frames, or without one about every two seconds.

    `clock` is monotonic seconds.
    """

    def __init__(self, share: float | None, clock: Callable[[], float], rng: Random) -> None:
        self._share = share
        self._clock = clock
        self._rng = rng
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


class Silence(FrameEffect):
    """No data frame passes."""

    @override
    def frame(self, _stream: str, _frame: bytes) -> Sequence[bytes]:
        return ()


class Gap(FrameEffect):
    """Loses one to three frames in a row of the streams of one kind; with a share single ones."""

    def __init__(self, prefix: str, share: float | None, pace: Pace, rng: Random) -> None:
        self._prefix = prefix
        self._in_a_row = HIT_FRAMES_MAX if share is None else 1
        self._pace = pace
        self._rng = rng
        self._still_to_lose: dict[str, int] = {}

    @override
    def frame(self, stream: str, frame: bytes) -> Sequence[bytes]:
        if not stream.startswith(self._prefix):
            return (frame,)
        if left := self._still_to_lose.get(stream, 0):
            self._still_to_lose[stream] = left - 1
            return ()
        if not self._pace.hits(stream):
            return (frame,)
        self._still_to_lose[stream] = self._rng.randrange(self._in_a_row)
        return ()


class Duplicate(FrameEffect):
    """Sends the last one to three frames of a stream again, also to the socket that comes next."""

    def __init__(self, memory: Memory, pace: Pace, rng: Random) -> None:
        self._memory = memory
        self._pace = pace
        self._rng = rng

    @override
    def frame(self, stream: str, frame: bytes) -> Sequence[bytes]:
        recent = self._memory.setdefault(stream, deque(maxlen=HIT_FRAMES_MAX))
        # the memory is shared by every socket of the stream, and each frame is one object to all
        if not (recent and recent[-1] is frame):
            recent.append(frame)
        if not self._pace.hits(stream):
            return (frame,)
        return (frame, *list(recent)[-self._rng.randint(1, HIT_FRAMES_MAX) :])

    @override
    def subscribed(self, stream: str) -> Sequence[bytes]:
        return tuple(self._memory.get(stream, ()))


class Reorder(FrameEffect):
    """Lets two neighbouring frames of a stream change places.

    A frame whose neighbour does not come goes on alone after a second.
    """

    def __init__(self, pace: Pace, clock: Callable[[], float]) -> None:
        self._pace = pace
        self._clock = clock
        self._held: dict[str, tuple[float, bytes]] = {}

    @override
    def frame(self, stream: str, frame: bytes) -> Sequence[bytes]:
        if earlier := self._held.pop(stream, None):
            return frame, earlier[1]
        if not self._pace.hits(stream):
            return (frame,)
        self._held[stream] = (self._clock(), frame)
        return ()

    @override
    def overdue(self) -> Sequence[bytes]:
        limit = self._clock() - HELD_MAX_SECONDS
        due = [stream for stream, (since, _) in self._held.items() if since <= limit]
        return [self._held.pop(stream)[1] for stream in due]

    @override
    def end(self) -> Sequence[bytes]:
        frames = [frame for _, frame in self._held.values()]
        self._held.clear()
        return frames


class SchemaDrift(FrameEffect):
    """Damages a share of the frames."""

    def __init__(self, share: float | None, rng: Random) -> None:
        self._share = DRIFT_SHARE if share is None else share
        self._rng = rng

    @override
    def frame(self, _stream: str, frame: bytes) -> Sequence[bytes]:
        return (drift(frame, self._rng) if self._rng.random() < self._share else frame,)


def drift(frame: bytes, rng: Random) -> bytes:
    """The frame as another release of the venue might send it: a client must not understand it.

    A required field is renamed, missing, or of another type.
    """
    message = msgspec.json.decode(frame)
    data: dict[str, Any] = message["data"]
    required = _REQUIRED.get(data.get("e", ""), ("s",))
    # a second drift finds the first one's damage
    if left := [key for key in required if key in data]:
        rng.choice((_rename, _remove, _retype))(data, rng.choice(left))
    return msgspec.json.encode(message, order="sorted")


def _rename(data: dict[str, Any], key: str) -> None:
    data[f"{key}2"] = data.pop(key)


def _remove(data: dict[str, Any], key: str) -> None:
    del data[key]


def _retype(data: dict[str, Any], key: str) -> None:
    value = data[key]
    data[key] = dict(value) if isinstance(value, list) else {"value": value}


_REQUIRED: Final = {
    "depth": ("a", "b", "u", "U"),
    "trade": ("p", "q", "t", "m"),
    "bookTicker": ("a", "b", "u"),
    "orderAccepted": ("i", "X", "S"),
    "orderCancelled": ("i", "X", "S"),
    "orderFill": ("i", "X", "l"),
    "kline": ("t", "T", "X"),
    "markPrice": ("p", "T"),
    "openInterest": ("o",),
    "liquidation": ("p", "q", "S"),
    "balanceUpdate": ("a", "A", "L"),
}
