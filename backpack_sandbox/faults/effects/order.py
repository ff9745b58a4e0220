"""Frames that come twice, in another order, late, or much too often."""

from collections import deque
from collections.abc import Sequence
from typing import Final, override

from backpack_sandbox.faults.effects.base import FrameEffect, Pace, Tools

REPEATED_MAX: Final = 3
HELD_MAX_SECONDS: Final = 1.0
MILLISECONDS: Final = 1000


class Duplicate(FrameEffect):
    """Sends the last one to three frames of a stream again, also to the socket that comes next."""

    def __init__(self, share: float | None, tools: Tools) -> None:
        self._memory = tools.memory
        self._pace = Pace(share, tools)
        self._rng = tools.rng

    @override
    def frame(self, stream: str, frame: bytes) -> Sequence[bytes]:
        recent = self._memory.setdefault(stream, deque(maxlen=REPEATED_MAX))
        # the memory is shared by every socket of the stream, and each frame is one object to all
        if not (recent and recent[-1] is frame):
            recent.append(frame)
        if not self._pace.hits(stream):
            return (frame,)
        return (frame, *list(recent)[-self._rng.randint(1, REPEATED_MAX) :])

    @override
    def subscribed(self, stream: str) -> Sequence[bytes]:
        return tuple(self._memory.get(stream, ()))


class Reorder(FrameEffect):
    """Lets two neighbouring frames of a stream change places.

    A frame whose neighbour does not come goes on alone after a second.
    """

    def __init__(self, share: float | None, tools: Tools) -> None:
        self._pace = Pace(share, tools)
        self._clock = tools.clock
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


class Delay(FrameEffect):
    """Frames come `fixed_ms` late and up to `random_ms` more; those delayed stay in order."""

    timed = True

    def __init__(
        self, tools: Tools, *, prefix: str = "", fixed_ms: float, random_ms: float
    ) -> None:
        self._clock = tools.clock
        self._rng = tools.rng
        self._prefix = prefix
        self._fixed_ms = fixed_ms
        self._random_ms = random_ms
        self._held: deque[tuple[float, bytes]] = deque()
        self._last_due = 0.0

    @override
    def frame(self, stream: str, frame: bytes) -> Sequence[bytes]:
        if not stream.startswith(self._prefix):
            return (frame,)
        late_ms = self._fixed_ms + self._rng.random() * self._random_ms
        self._last_due = max(self._last_due, self._clock() + late_ms / MILLISECONDS)
        self._held.append((self._last_due, frame))
        return ()

    @override
    def overdue(self) -> Sequence[bytes]:
        held, now = self._held, self._clock()
        due = []
        while held and held[0][0] <= now:
            due.append(held.popleft()[1])
        return due

    @override
    def end(self) -> Sequence[bytes]:
        frames = [frame for _, frame in self._held]
        self._held.clear()
        return frames


class Flood(FrameEffect):
    """Sends the newest frame of each stream again, in turn, so many per second."""

    timed = True

    def __init__(self, frames_per_second: float, tools: Tools) -> None:
        self._rate = frames_per_second
        self._clock = tools.clock
        self._newest: dict[str, bytes] = {}
        self._since = tools.clock()
        self._turn = 0

    @override
    def frame(self, stream: str, frame: bytes) -> Sequence[bytes]:
        self._newest[stream] = frame
        return (frame,)

    @override
    def overdue(self) -> Sequence[bytes]:
        count = int((self._clock() - self._since) * self._rate)
        if not count or not self._newest:
            return ()
        self._since += count / self._rate
        frames, turn = list(self._newest.values()), self._turn
        self._turn += count
        return [frames[(turn + i) % len(frames)] for i in range(count)]
