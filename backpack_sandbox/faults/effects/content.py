"""Frames that are well formed and wrong: their times, their prices, their ids."""

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final, override

import msgspec

from backpack_sandbox.constants import MICROSECONDS
from backpack_sandbox.faults.effects.base import FrameEffect, Pace, Tools, drift_pace, edited

DAY_US: Final = 86_400 * MICROSECONDS
STAMPS: Final = ("E", "T")


class ClockSkew(FrameEffect):
    """Every `E` and `T` in µs is off by the same time."""

    def __init__(self, skew_seconds: float) -> None:
        self._shift_us = round(skew_seconds * MICROSECONDS)

    @override
    def frame(self, _stream: str, frame: bytes) -> Sequence[bytes]:
        return (edited(frame, lambda data: _restamp(data, lambda us: us + self._shift_us)),)


class WrongTimestamps(FrameEffect):
    """`E` and `T` of a share of the frames are wrong."""

    def __init__(self, share: float | None, how: str, tools: Tools) -> None:
        self._pace = drift_pace(share, tools)
        self._rng = tools.rng
        self._ways = tuple(_WRONG_TIMES) if how == "any" else (how,)

    @override
    def frame(self, stream: str, frame: bytes) -> Sequence[bytes]:
        if not self._pace.hits(stream):
            return (frame,)
        wrong = _WRONG_TIMES[self._rng.choice(self._ways)]
        return (edited(frame, lambda data: _restamp(data, wrong)),)


_WRONG_TIMES: Final[Mapping[str, Callable[[int], int | str]]] = {
    "future": lambda us: us + DAY_US,
    "past": lambda us: us - DAY_US,
    "string": str,
    "milliseconds": lambda us: us // 1000,
}


def _restamp(data: dict[str, Any], stamp: Callable[[int], int | str]) -> None:
    for key in STAMPS:
        # the T of a candle is text, and another fault may have been here
        if isinstance(data.get(key), int):
            data[key] = stamp(data[key])


class Crossed(FrameEffect):
    """Adds a level on the wrong side of the book to depth frames."""

    def __init__(self, share: float | None, tools: Tools) -> None:
        self._pace = Pace(share, tools)

    @override
    def frame(self, stream: str, frame: bytes) -> Sequence[bytes]:
        if not stream.startswith("depth.") or not self._pace.hits(stream):
            return (frame,)
        return (edited(frame, _cross),)


def _cross(data: dict[str, Any]) -> None:
    """A bid at twice the price of a level there is: on the tick, and above every ask."""
    levels = (data.get("a") or []) + (data.get("b") or [])
    if not levels or not isinstance(data.get("b"), list):
        return
    highest = max((Decimal(price) for price, _ in levels))
    quantity = next((q for _, q in levels if Decimal(q)), "1")
    data["b"].append([format(highest * 2, "f"), quantity])


class SequenceRestart(FrameEffect):
    """Ids of depth, bookTicker and trade count from 1 since the fault began."""

    def __init__(self, tools: Tools) -> None:
        self._first_ids = tools.first_ids

    @override
    def frame(self, stream: str, frame: bytes) -> Sequence[bytes]:
        kind = stream.partition(".")[0]
        if kind not in _ID_KEYS:
            return (frame,)
        message = msgspec.json.decode(frame)
        data = message["data"]
        first = self._first_ids.get(data.get("s"))
        if first is None:
            return (frame,)
        offset = first[kind == "trade"] - 1
        for key in _ID_KEYS[kind]:
            if isinstance(data.get(key), int):
                data[key] -= offset
        # a window that was open when the ids began anew has only its newer part
        if kind == "depth" and data["u"] > 0:
            data["U"] = max(data["U"], 1)
        if any(isinstance(data.get(key), int) and data[key] < 1 for key in _ID_KEYS[kind]):
            return ()
        return (msgspec.json.encode(message),)


_ID_KEYS: Final = {"depth": ("U", "u"), "bookTicker": ("u",), "trade": ("t",)}
