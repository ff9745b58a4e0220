"""What the active faults do to the frames of one socket."""

from collections.abc import Callable, Sequence
from random import Random
from typing import Any, Final

import msgspec

from backpack_sandbox.faults import Fault, FaultName

GAP_EVERY_SECONDS: Final = 2.0
GAP_FRAMES_MAX: Final = 3
DRIFT_SHARE: Final = 0.1


class Impairment:
    """Drops or damages frames of one socket; keeps its own place in each stream.

    `clock` is monotonic seconds; `rng` decides when, so tests can fix it.
    """

    def __init__(self, faults: Sequence[Fault], clock: Callable[[], float], rng: Random) -> None:
        self._faults = faults
        self._clock = clock
        self._rng = rng
        self._next_gap: dict[str, float] = {}
        self._still_to_skip: dict[str, int] = {}

    def apply(self, stream: str, symbol: str, frame: bytes) -> bytes | None:
        """The frame as this socket gets it; None when it does not."""
        for fault in self._faults:
            if not fault.hits_symbol(symbol):
                continue
            passed = self._apply_one(fault, stream, frame)
            if passed is None:
                return None
            frame = passed
        return frame

    def _apply_one(self, fault: Fault, stream: str, frame: bytes) -> bytes | None:
        if fault.name is FaultName.STALE:
            return None
        if fault.name is FaultName.GAP and stream.startswith("depth."):
            return None if self._skips(stream, fault.share) else frame
        if fault.name is FaultName.SCHEMA_DRIFT:
            share = DRIFT_SHARE if fault.share is None else fault.share
            return drift(frame, self._rng) if self._rng.random() < share else frame
        return frame

    def _skips(self, stream: str, share: float | None) -> bool:
        """By default one to three frames in a row, about every two seconds of each stream."""
        if share is not None:
            return self._rng.random() < share
        if left := self._still_to_skip.get(stream, 0):
            self._still_to_skip[stream] = left - 1
            return True
        now = self._clock()
        if now < self._next_gap.setdefault(stream, now + self._rng.random() * GAP_EVERY_SECONDS):
            return False
        self._next_gap[stream] = now + self._rng.uniform(0.5, 1.5) * GAP_EVERY_SECONDS
        self._still_to_skip[stream] = self._rng.randrange(GAP_FRAMES_MAX)
        return True


def drift(frame: bytes, rng: Random) -> bytes:
    """The frame as another release of the venue might send it: a client must not understand it.

    A required field is renamed, missing, or of another type.
    """
    message = msgspec.json.decode(frame)
    data: dict[str, Any] = message["data"]
    key = rng.choice(_REQUIRED.get(data.get("e", ""), ("s",)))
    rng.choice((_rename, _remove, _retype))(data, key)
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
}
