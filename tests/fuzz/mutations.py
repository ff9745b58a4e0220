"""Mutations of recorded frames: what a broken proxy, a new version or an attacker might send."""

import json
import random
from collections.abc import Callable, Iterator
from typing import Any

from tests.support.backpack_fixtures import load_fixture

type Json = Any

NESTING = 20_000
EXPLODED_LEVELS = 2_000

HOSTILE: tuple[Any, ...] = (
    None,
    True,
    False,
    0,
    -1,
    1,
    2**53 + 1,
    2**63,
    2**64,
    10**400,
    -(10**30),
    1.5,
    1e308,
    "",
    "0",
    "-0",
    "-1.5",
    "NaN",
    "Infinity",
    "-Infinity",
    "1e999999999",
    "1e-999999999",
    "0x10",
    "１２",
    "1_000",
    " 1 ",
    "9" * 5_000,
    "\x00",
    "\ud800",
    "😀" * 50,
    "SOL_USDC",
    "ZZZ_USDC",
    "Bid",
    "2026-09-02T16:44:00",
    "0000-99-99T99:99:99",
    "depth",
    [],
    {},
    [[]],
    [["1", "2"]],
    [["1", "2", "3"]],
    [[None, None]],
    {"a": {"b": []}},
)
KEYS = ("e", "E", "T", "s", "S", "U", "u", "a", "b", "p", "q", "t", "m", "data", "stream", "error")


def recorded_frames() -> list[bytes]:
    """Every websocket frame in the fixtures."""
    frames = [
        frame["raw"].encode()
        for name in ("ws_public_frames", "ws_private_frames")
        for frame in load_fixture(name)["frames"]
    ]
    for scenario in load_fixture("depth_sync")["scenarios"]:
        frames += [_compact(e["frame"]) for e in scenario["events"] if "frame" in e]
    for case in load_fixture("nasty")["cases"]:
        frames += [item["raw"].encode() for item in case["input"] if "raw" in item]
    for case in load_fixture("ws_control")["cases"]:
        frames += [raw.encode() for raw in case["reply_raw"]]
    return frames


def mutated_frames(seed: int) -> Iterator[bytes | str]:
    """Yield mutated frames for ever, the same ones for the same seed."""
    chance = random.Random(seed)
    raws = recorded_frames()
    parsed = [value for raw in raws if (value := _parsed(raw)) is not None]
    while True:
        if chance.random() < 0.35:
            frame = _mutated_bytes(chance, chance.choice(raws), chance.choice(raws))
        else:
            frame = _mutated_value(chance, parsed)
        # a socket gives text frames as text where they are valid
        yield frame if chance.random() < 0.8 else frame.decode(errors="replace")


def _parsed(raw: bytes) -> Json:
    try:
        return json.loads(raw)
    except ValueError:
        return None


def _compact(value: Json) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


# --- bytes ---


def _mutated_bytes(chance: random.Random, frame: bytes, other: bytes) -> bytes:
    data = bytearray(frame)
    for _ in range(chance.choice((1, 1, 1, 2, 8))):
        _BYTE_MUTATIONS[chance.randrange(len(_BYTE_MUTATIONS))](chance, data, other)
    return bytes(data)


def _flip(chance: random.Random, data: bytearray, _other: bytes) -> None:
    if data:
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)


def _replace(chance: random.Random, data: bytearray, _other: bytes) -> None:
    if data:
        data[chance.randrange(len(data))] = chance.choice(b'{}[]",:0-9.eE\\\x00\xff\xc3n')


def _truncate(chance: random.Random, data: bytearray, _other: bytes) -> None:
    del data[chance.randrange(len(data) + 1) :]


def _cut(chance: random.Random, data: bytearray, _other: bytes) -> None:
    start = chance.randrange(len(data) + 1)
    del data[start : start + chance.randrange(1, 20)]


def _repeat(chance: random.Random, data: bytearray, _other: bytes) -> None:
    start = chance.randrange(len(data) + 1)
    piece = data[start : start + chance.randrange(1, 40)]
    data[start:start] = piece * chance.randrange(1, 4)


def _splice(chance: random.Random, data: bytearray, other: bytes) -> None:
    data[chance.randrange(len(data) + 1) :] = other[chance.randrange(len(other)) :]


def _nest(chance: random.Random, data: bytearray, _other: bytes) -> None:
    if chance.random() < 0.02:
        at = chance.randrange(len(data) + 1)
        data[at:at] = chance.choice((b"[", b'{"a":')) * NESTING


def _insert_rubbish(chance: random.Random, data: bytearray, _other: bytes) -> None:
    at = chance.randrange(len(data) + 1)
    data[at:at] = chance.randbytes(chance.randrange(1, 12))


_BYTE_MUTATIONS = (_flip, _replace, _truncate, _cut, _repeat, _splice, _nest, _insert_rubbish)


# --- values ---


def _mutated_value(chance: random.Random, parsed: list[Json]) -> bytes:
    frame = _copy(chance.choice(parsed))
    for _ in range(chance.choice((1, 1, 2, 3))):
        mutation = _VALUE_MUTATIONS[chance.randrange(len(_VALUE_MUTATIONS))]
        frame = mutation(chance, frame, parsed)
    return _compact(frame)


def _copy(value: Json) -> Json:
    if isinstance(value, dict):
        return {key: _copy(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_copy(item) for item in value]
    return value


def _hostile(chance: random.Random) -> Json:
    return _copy(chance.choice(HOSTILE))


def _target(chance: random.Random, frame: Json) -> dict[str, Json] | None:
    """The envelope, or more often the object that holds the payload."""
    if not isinstance(frame, dict):
        return None
    inner = frame.get("data", frame.get("error"))
    return inner if isinstance(inner, dict) and inner and chance.random() < 0.85 else frame


def _drop(chance: random.Random, frame: Json, _parsed: list[Json]) -> Json:
    target = _target(chance, frame)
    if target:
        del target[chance.choice(list(target))]
    return frame


def _rename(chance: random.Random, frame: Json, _parsed: list[Json]) -> Json:
    target = _target(chance, frame)
    if target:
        target[chance.choice(KEYS)] = target.pop(chance.choice(list(target)))
    return frame


def _retype(chance: random.Random, frame: Json, _parsed: list[Json]) -> Json:
    target = _target(chance, frame)
    if target:
        target[chance.choice(list(target))] = _hostile(chance)
    return frame


def _as_other_type(chance: random.Random, frame: Json, _parsed: list[Json]) -> Json:
    """A number as text, text as a number: what the venue's documents and its wire disagree on."""
    target = _target(chance, frame)
    if target:
        key = chance.choice(list(target))
        value = target[key]
        if isinstance(value, int | float):
            target[key] = str(value)
        elif isinstance(value, str) and value.replace(".", "", 1).isdigit():
            target[key] = float(value)
    return frame


def _shift_number(chance: random.Random, frame: Json, _parsed: list[Json]) -> Json:
    """Ids and times near the recorded ones: gaps, repeats and restarts."""
    target = _target(chance, frame)
    numbers = [k for k, v in (target or {}).items() if type(v) is int]
    if target and numbers:
        target[chance.choice(numbers)] += chance.choice((-1000, -1, 1, 2, 17, 10**6, 10**15))
    return frame


def _swap_stream(chance: random.Random, frame: Json, parsed: list[Json]) -> Json:
    other = chance.choice(parsed)
    if isinstance(frame, dict) and isinstance(other, dict):
        frame["stream"] = other.get("stream", _hostile(chance))
    return frame


def _swap_data(chance: random.Random, frame: Json, parsed: list[Json]) -> Json:
    other = chance.choice(parsed)
    if isinstance(frame, dict) and isinstance(other, dict):
        frame["data"] = _copy(other.get("data", other))
    return frame


def _explode_levels(chance: random.Random, frame: Json, _parsed: list[Json]) -> Json:
    target = _target(chance, frame)
    if target and chance.random() < 0.05:
        size = chance.randrange(EXPLODED_LEVELS)
        price = chance.choice(("1.5", 1, "0", None, "99.00", -1))
        target[chance.choice("ab")] = [[price, str(i)] for i in range(size)]
    return frame


def _mangle_level(chance: random.Random, frame: Json, _parsed: list[Json]) -> Json:
    target = _target(chance, frame)
    if target:
        level = [_hostile(chance) for _ in range(chance.randrange(4))]
        target[chance.choice("ab")] = [["98.97", "1"], level]
    return frame


def _wrap(chance: random.Random, frame: Json, _parsed: list[Json]) -> Json:
    return chance.choice(([frame], {"data": frame}, {"data": frame, "stream": "depth.SOL_USDC"}))


def _replace_whole(chance: random.Random, _frame: Json, _parsed: list[Json]) -> Json:
    return _hostile(chance)


def _extra(chance: random.Random, frame: Json, _parsed: list[Json]) -> Json:
    target = _target(chance, frame)
    if target is not None:
        target[chance.choice(("x", "é", "", "E" * 300))] = _hostile(chance)
    return frame


_VALUE_MUTATIONS: tuple[Callable[[random.Random, Json, list[Json]], Json], ...] = (
    _drop,
    _rename,
    _retype,
    _retype,
    _as_other_type,
    _shift_number,
    _shift_number,
    _swap_stream,
    _swap_data,
    _explode_levels,
    _mangle_level,
    _wrap,
    _replace_whole,
    _extra,
)
