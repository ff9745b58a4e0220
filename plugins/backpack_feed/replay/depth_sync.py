"""`{"scenarios": […]}`: snapshots and deltas of one market through the book's state machine.

Each event is `{"event": "ws", "frame": {…}}`, `{"event": "rest", "depth_response": {…}}` or
`{"event": "disconnect"}`, with the expected `action`, `book_valid_after`, `last_update_id_after`.
"""

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import msgspec

from backpack_feed.errors import DecodeError
from backpack_feed.native.book import DepthBook
from backpack_feed.replay.report import FormatError, Line, Mismatch, compare, table
from backpack_feed.wire.decode import decode, decode_depth_snapshot
from backpack_feed.wire.messages import DepthMessage

_NOTHING = msgspec.Raw(b"")


class Event(msgspec.Struct):
    """One thing that happens to the book; the `…_after` fields and `action` are expectations."""

    event: str
    frame: msgspec.Raw = _NOTHING
    raw: str | None = None
    depth_response: msgspec.Raw = _NOTHING
    action: str | msgspec.UnsetType | None = msgspec.UNSET
    book_valid_after: bool | msgspec.UnsetType | None = msgspec.UNSET
    last_update_id_after: int | str | msgspec.UnsetType | None = msgspec.UNSET


class Scenario(msgspec.Struct):
    """A run of events of one market, and the book in the end."""

    name: str
    events: list[Event]
    stream: str = ""
    symbol: str = ""
    final: dict[str, Any] | None = None


class DepthSyncFile(msgspec.Struct):
    """The whole file."""

    scenarios: list[Scenario]


def replay(file: DepthSyncFile) -> Iterator[Line]:
    """Replay every scenario on a book of its own."""
    for scenario in file.scenarios:
        yield Line(f"{scenario.name}", {"scenario": scenario.name, "stream": scenario.stream})
        book = DepthBook()
        for index, event in enumerate(scenario.events):
            yield _event(scenario, index, event, book)
        yield _final(scenario, book)


def _event(scenario: Scenario, index: int, event: Event, book: DepthBook) -> Line:
    place = f"{scenario.name} event {index} ({event.event})"
    action = _act(scenario, place, event, book)
    actual = {
        "action": action,
        "book_valid_after": book.valid,
        "last_update_id_after": book.last_update_id,
    }
    mismatches: tuple[Mismatch, ...] = ()
    for name, value in actual.items():
        expected = getattr(event, name)
        if expected is not msgspec.UNSET:
            mismatches += compare(place, name, expected, value)
    text = table(
        (f"{index:>4}", 4),
        (event.event, 10),
        (action, 44),
        ("valid" if book.valid else "no book", 7),
        (book.last_update_id if book.last_update_id is not None else "-", 0),
    )
    record = {"scenario": scenario.name, "index": index, "event": event.event} | actual
    return Line(text, record, mismatches)


def _act(scenario: Scenario, place: str, event: Event, book: DepthBook) -> str:
    match event.event:
        case "ws" if event.raw is not None or event.frame:
            return _delta(scenario, event, book)
        case "rest" if event.depth_response:
            return _snapshot(event, book)
        case "disconnect":
            return book.discard().label
    raise FormatError(
        f"{place}: is not ws with a frame, rest with a depth_response or disconnect: correct it"
    )


def _delta(scenario: Scenario, event: Event, book: DepthBook) -> str:
    try:
        envelope = decode(bytes(event.frame) if event.raw is None else event.raw)
    except DecodeError:
        # the ids of the frame are lost with it, so the book cannot be trusted any more
        book.resync()
        return "unreadable_invalidate_and_resnapshot"
    message = envelope.data
    if not isinstance(message, DepthMessage) or envelope.stream != (
        scenario.stream or envelope.stream
    ):
        return "ignore_other_stream"
    return book.delta(message).label


def _snapshot(event: Event, book: DepthBook) -> str:
    try:
        snapshot = decode_depth_snapshot(bytes(event.depth_response))
    except DecodeError:
        return "reject_unreadable_snapshot_refetch"
    return book.snapshot(snapshot).label


def _final(scenario: Scenario, book: DepthBook) -> Line:
    bids, asks = (_best_first(side) for side in (book.ladder.bids, book.ladder.asks))
    actual = {
        "bids_best_first": bids,
        "asks_best_first": asks,
        "last_update_id": book.last_update_id,
        "valid": book.valid,
    }
    mismatches: tuple[Mismatch, ...] = ()
    if scenario.final is not None:
        mismatches = compare(f"{scenario.name} final", "", scenario.final, actual)
    rows = [f"     final book of {scenario.symbol or scenario.name}, id {book.last_update_id}"]
    if not book.valid:
        rows[0] += ": not valid, nothing is published"
    rows += [_row("ask", level) for level in reversed(asks)] + [_row("bid", x) for x in bids]
    record = {"scenario": scenario.name, "final": actual}
    return Line("\n".join(rows), record, mismatches)


def _best_first(side: Any) -> list[tuple[Decimal, Decimal]]:
    return [side.index(position) for position in range(len(side))]


def _row(side: str, level: tuple[Decimal, Decimal]) -> str:
    return f"     {side} {level[0].normalize():>16f} {level[1].normalize():>16f}"
