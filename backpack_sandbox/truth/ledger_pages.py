"""Frames of one stream out of the ledger, byte for byte, a page at a time."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import msgspec

PAGE_BYTES_READ_MAX: Final = 32 * 1024 * 1024
"""What one page reads of the ledger at most; the next one goes on from there."""
STREAM_IDS: Final = {"depth": "u", "bookTicker": "u", "trade": "t"}
"""Streams whose frames carry a growing id, and its key."""


@dataclass(slots=True)
class Page:
    """Lines of the ledger; `next_place` is where the next page begins, `done` when it is empty."""

    next_place: int
    done: bool = False
    frames: list[bytes] = field(default_factory=list)


def read_page(path: Path, end: int, stream: str, *, place: int, from_id: int, limit: int) -> Page:
    """Up to `limit` lines of `stream` from the byte `place` on, before the byte `end`.

    `place` must be the start of a line. Lines with an id below `from_id` are left out.
    """
    page = Page(place)
    ending = b'"stream":' + msgspec.json.encode(stream) + b"}"
    id_key = STREAM_IDS.get(stream.partition(".")[0])
    stop = min(end, place + PAGE_BYTES_READ_MAX)
    with path.open("rb") as file:
        file.seek(place)
        while page.next_place < stop and len(page.frames) < limit:
            line = file.readline()
            page.next_place += len(line)
            frame = line.rstrip(b"\n")
            if frame.endswith(ending) and (id_key is None or _number(frame, id_key) >= from_id):
                page.frames.append(frame)
    page.done = page.next_place >= end
    return page


def _number(frame: bytes, key: str) -> int:
    data: dict[str, Any] = msgspec.json.decode(frame)["data"]
    return int(data[key])
