"""`{"frames": […]}`: single websocket frames, each through a feed of its own.

The feed subscribes what the frame's stream is, and a book stands where a delta continues it.
"""

from collections.abc import Iterator
from typing import Any, Final

import msgspec

from backpack_feed.errors import DecodeError
from backpack_feed.replay import virtual_time
from backpack_feed.replay.case_player import Played, play
from backpack_feed.replay.case_streams import Case, Item
from backpack_feed.replay.report import Line, Mismatch, compare, plain, table
from backpack_feed.replay.vocabulary import in_expected_words
from backpack_feed.wire.decode import decode
from backpack_feed.wire.messages import Message

SETTLE_SECONDS: Final = 1.0
_NOTHING = msgspec.Raw(b"")


class RecordedText(msgspec.Struct):
    """A frame as text or as an object; `expect` is in the words of `vocabulary`."""

    name: str
    stream: str = ""
    raw: str | None = None
    frame: msgspec.Raw = _NOTHING
    expect: dict[str, Any] | None = None


class FramesFile(msgspec.Struct):
    """The whole file."""

    frames: list[RecordedText]


def replay(file: FramesFile) -> Iterator[Line]:
    """Normalise every frame."""
    for recorded in file.frames:
        raw = bytes(recorded.frame).decode() if recorded.raw is None else recorded.raw
        case = Case(name=recorded.name, input=[Item(transport="ws_text", raw=raw)])
        played = virtual_time.run(play(case, SETTLE_SECONDS))
        yield from _lines(recorded, raw, played)


def _lines(recorded: RecordedText, raw: str, played: Played) -> Iterator[Line]:
    message, error = _decoded(raw)
    events = [event for event in played.events if not _is_book_before(event)]
    mismatches: tuple[Mismatch, ...] = ()
    if recorded.expect is not None:
        shown = in_expected_words(events, message)
        mismatches = compare(f"frame {recorded.name}", "", recorded.expect, shown)
    head = {"frame": recorded.name, "stream": recorded.stream}
    for event in events[:-1]:
        yield Line(_text(recorded.name, event["channel"], event), head | event)
    if events:
        last = events[-1]
        yield Line(_text(recorded.name, last["channel"], last), head | last, mismatches)
    else:
        why = error or why_nothing(message, played)
        yield Line(
            table((recorded.name, 34), ("-", 13), (why, 0)), head | {"nothing": why}, mismatches
        )


def _decoded(raw: str) -> tuple[Message | None, str]:
    try:
        return decode(raw).data, ""
    except DecodeError as error:
        return None, f"unreadable: {error}"


def why_nothing(message: Message | None, played: Played) -> str:
    """Say why a readable frame gave no event."""
    suppressed = played.counters.get("suppressed", {})
    reasons = ", ".join(str(name).replace("_", " ") for name in suppressed)
    return f"{type(message).__name__}: {reasons or 'no event'}"


def _is_book_before(event: dict[str, Any]) -> bool:
    """Whether it is the whole book that stood before the frame."""
    return "delta" in event and event["delta"] is None


def _text(name: str, channel: str, event: dict[str, Any]) -> str:
    values = {k: v for k, v in event.items() if k not in ("channel", "exchange")}
    return table((name, 34), (channel, 13), (msgspec.json.encode(plain(values)).decode(), 0))
