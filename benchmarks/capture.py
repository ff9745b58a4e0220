"""What a server says, prepared before any clock runs: framed messages and REST bodies."""

import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec

TEXT_FRAME: Final = 0x81
SHORT_PAYLOAD: Final = 125
MEDIUM_MARK: Final = 126
MICROSECONDS: Final = 1_000_000

type Stream = tuple[str, str]
"""(`depth` or `trade`, venue symbol)."""


@dataclass(frozen=True, kw_only=True)
class Capture:
    """One venue's day. `symbols` are cryptofeed's names in the order of the flow's markets.

    `rest` maps (path, symbol or empty) to bodies. `primers` are sent once per market as soon as
    both its streams are subscribed: they let a feed fetch and place its book before the clock runs.
    """

    symbols: Sequence[str]
    venue_symbols: Sequence[str]
    rest: Mapping[tuple[str, str], bytes]
    primers: Mapping[str, bytes]
    frames: Sequence[bytes]
    subscribed: Callable[[bytes], list[Stream]]


def framed(message: Mapping[str, Any]) -> bytes:
    """Return the message as one unmasked websocket text frame."""
    payload = msgspec.json.encode(message)
    size = len(payload)
    if size <= SHORT_PAYLOAD:
        return struct.pack("!BB", TEXT_FRAME, size) + payload
    return struct.pack("!BBH", TEXT_FRAME, MEDIUM_MARK, size) + payload


def chunked(frames: Sequence[bytes], chunk_bytes: int) -> list[bytes]:
    """Join whole frames into chunks of about that size."""
    chunks: list[bytes] = []
    waiting: list[bytes] = []
    size = 0
    for frame in frames:
        waiting.append(frame)
        size += len(frame)
        if size >= chunk_bytes:
            chunks.append(b"".join(waiting))
            waiting, size = [], 0
    return [*chunks, b"".join(waiting)] if waiting else chunks
