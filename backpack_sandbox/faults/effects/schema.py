"""Frames as another release of the venue might send them, and frames that are none."""

from collections.abc import Callable, Mapping, Sequence
from random import Random
from typing import Any, Final, override

import msgspec

from backpack_sandbox.faults.effects.base import FrameEffect, Pace, Tools, drift_pace, edited

type Damage = Callable[[dict[str, Any], str], None]


def rename(data: dict[str, Any], key: str) -> None:
    """The field has another name."""
    data[f"{key}2"] = data.pop(key)


def remove(data: dict[str, Any], key: str) -> None:
    """The field is gone."""
    del data[key]


def retype(data: dict[str, Any], key: str) -> None:
    """The field is an object."""
    value = data[key]
    data[key] = dict(value) if isinstance(value, list) else {"value": value}


ANY_DAMAGE: Final = (rename, remove, retype)


class SchemaDrift(FrameEffect):
    """Damages a required field of a share of the frames."""

    def __init__(self, share: float | None, tools: Tools, *damages: Damage) -> None:
        self._pace = drift_pace(share, tools)
        self._rng = tools.rng
        self._damages = damages

    @override
    def frame(self, stream: str, frame: bytes) -> Sequence[bytes]:
        if not self._pace.hits(stream):
            return (frame,)
        return (drift(frame, self._rng, self._damages),)


def drift(frame: bytes, rng: Random, damages: Sequence[Damage] = ANY_DAMAGE) -> bytes:
    """The frame with one required field damaged: a client must not understand it."""
    message = msgspec.json.decode(frame)
    data: dict[str, Any] = message["data"]
    required = _REQUIRED.get(data.get("e", ""), ("s",))
    # a second drift finds the first one's damage
    if left := [key for key in required if key in data]:
        rng.choice(damages)(data, rng.choice(left))
    return msgspec.json.encode(message, order="sorted")


class ExtraField(FrameEffect):
    """A share of the frames has one field more."""

    def __init__(self, share: float | None, tools: Tools) -> None:
        self._pace = drift_pace(share, tools)

    @override
    def frame(self, stream: str, frame: bytes) -> Sequence[bytes]:
        return (edited(frame, _add_field) if self._pace.hits(stream) else frame,)


def _add_field(data: dict[str, Any]) -> None:
    data["x"] = {"deep": [1, 2]}


class UnknownEvents(FrameEffect):
    """After a share of the frames comes an event that no document knows."""

    def __init__(self, share: float | None, tools: Tools) -> None:
        self._pace = drift_pace(share, tools)

    @override
    def frame(self, stream: str, frame: bytes) -> Sequence[bytes]:
        if not self._pace.hits(stream):
            return (frame,)
        data = msgspec.json.decode(frame)["data"]
        event = {"E": data.get("E"), "e": "auction", "s": data.get("s")}
        name = f"auction.{data.get('s')}"
        return frame, msgspec.json.encode({"data": event, "stream": name})


class Malformed(FrameEffect):
    """Sends something that is no frame in a frame's place."""

    def __init__(self, share: float | None, how: str, tools: Tools) -> None:
        self._pace = Pace(share, tools)
        self._ways = tuple(_BROKEN) if how == "any" else (how,)
        self._rng = tools.rng
        self._send_binary = tools.send_binary

    @override
    def frame(self, stream: str, frame: bytes) -> Sequence[bytes]:
        if not self._pace.hits(stream):
            return (frame,)
        how = self._rng.choice(self._ways)
        broken = _BROKEN[how](frame)
        if how == "binary":
            self._send_binary(broken)
            return ()
        return (broken,)


_BROKEN: Final[Mapping[str, Callable[[bytes], bytes]]] = {
    "truncated": lambda frame: frame[: len(frame) // 2],
    "text": lambda _frame: b"upstream connect error or disconnect/reset before headers",
    "array": lambda _frame: b"[]",
    "null": lambda _frame: b"null",
    "binary": lambda _frame: bytes.fromhex("000102ff"),
}
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
