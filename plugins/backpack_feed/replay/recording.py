"""Recordings of users: one websocket frame per line, as it is or as `{"receipt": …, "raw": "…"}`.

The whole recording goes through one feed. Nobody knows the books before it began, so each starts
empty at the first delta: what is published are the changes, with their gaps.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import msgspec

from backpack_feed.replay import virtual_time
from backpack_feed.replay.case_player import play
from backpack_feed.replay.case_streams import Case, Item
from backpack_feed.replay.files import read_body
from backpack_feed.replay.report import Line, plain, table

SETTLE_SECONDS: Final = 60.0
EVERY_EVENT: Final = 2**63


def is_recorded(first_line: bytes) -> bool:
    """Whether a file's first line is one frame of a recording."""
    content = _parsed(first_line)
    return isinstance(content, dict) and (
        isinstance(content.get("raw"), str)
        or (isinstance(content.get("stream"), str) and "data" in content)
        or ("error" in content and content.keys() <= {"id", "error"})
    )


def replay(path: Path) -> Iterator[Line]:
    """Replay a recording; an unreadable line is an unreadable frame, as it was for the feed."""
    lines = [line for line in read_body(path).splitlines() if line.strip()]
    case = Case(name=path.name, input=[_item(line) for line in lines])
    played = virtual_time.run(play(case, SETTLE_SECONDS, kept_events=EVERY_EVENT, empty_books=True))
    for event in played.events:
        yield Line(_text(event), event)
    summary = {
        "frames": len(lines),
        "events": played.event_counts,
        "counters": played.counters,
        "notes": played.notes,
    }
    rows = [table((name, 10), (_json(value), 0)) for name, value in summary.items() if value]
    yield Line("\n".join(rows), {"summary": summary})


def _item(line: bytes) -> Item:
    content = _parsed(line)
    raw = content.get("raw") if isinstance(content, dict) else None
    if isinstance(raw, str):
        return Item(transport="ws_text", raw=raw)
    try:
        return Item(transport="ws_text", raw=line.decode())
    except UnicodeDecodeError:
        return Item(transport="ws_binary", hex=line.hex())


def _text(event: dict[str, Any]) -> str:
    values = {k: v for k, v in event.items() if k not in ("channel", "exchange")}
    return table((event["channel"], 13), (_json(values), 0))


def _json(value: Any) -> str:
    return msgspec.json.encode(plain(value)).decode()


def _parsed(line: bytes) -> Any:
    try:
        return msgspec.json.decode(line)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None
