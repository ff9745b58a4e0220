"""`{"cases": […]}` with `input` items: nasty inputs through the whole native feed.

Prints what came out, which counters moved, what was asked by REST and what became of the socket.
The right behaviour is prose in the file, so only the file's data can be compared: none so far.
"""

from collections import Counter
from collections.abc import Iterator
from typing import Any, Final

import msgspec

from backpack_feed.replay import virtual_time
from backpack_feed.replay.case_player import Played, play
from backpack_feed.replay.case_streams import Case
from backpack_feed.replay.report import Line, plain

SHOWN_ROWS: Final = 12
"""Of events and of requests, per case."""


class NastyFile(msgspec.Struct):
    """The whole file."""

    cases: list[Case]


def replay(file: NastyFile) -> Iterator[Line]:
    """Play every case on a feed of its own."""
    for case in file.cases:
        yield line(case, virtual_time.run(play(case)))


def line(case: Case, played: Played) -> Line:
    """Render one case."""
    record = {"case": case.name, "id": case.id} | msgspec.structs.asdict(played)
    rows = [f"{case.id if case.id is not None else '-':>3}  {case.name}"]
    shown = played.events[:SHOWN_ROWS]
    rows += [f"     event    {_one_line(event)}" for event in shown]
    left = sum(played.event_counts.values()) - len(shown)
    if left:
        rows.append(f"     event    … and {left} more: {_one_line(played.event_counts)}")
    rows += [f"     note     {note}" for note in played.notes]
    rows.append(f"     counters {_one_line(played.counters) if played.counters else 'none moved'}")
    rows += [f"     rest     {request}" for request in _grouped(played.requests)]
    signed = [frame for frame in played.sent if "signature" in frame]
    rows += [f"     signed   {f['method']} {f['params']} at {f['signature'][2]}" for f in signed]
    rows.append(f"     socket   {played.socket}")
    if case.right_behaviour:
        rows.append(f"     right    {case.right_behaviour}")
    return Line("\n".join(rows), record)


def _grouped(requests: list[str]) -> list[str]:
    """Fold repeats of a request, in the order of their first."""
    counts = Counter(requests)
    rows = [r if times == 1 else f"{r} ({times} times)" for r, times in counts.items()]
    return rows[:SHOWN_ROWS] + [f"… and {len(rows) - SHOWN_ROWS} more"] * (len(rows) > SHOWN_ROWS)


def _one_line(content: dict[str, Any]) -> str:
    shown = msgspec.json.encode(plain(content)).decode()
    return shown if len(shown) <= 400 else f"{shown[:397]}…"  # noqa: PLR2004 - a few lines
