"""What a run is, what it must have delivered, and what it cost. No I/O but the file of times."""

import statistics
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Final

from benchmarks.capture import Capture
from benchmarks.flow import Depth, Flow
from benchmarks.job import RECEIVERS, Line

MICROSECONDS: Final = 1e6


class InvalidRun(Exception):  # noqa: N818 - says what happened
    """Something was lost, repeated or wrong: the figures of this run would mean nothing."""


@dataclass(frozen=True)
class Day:
    """A flow with what each venue makes of it."""

    flow: Flow
    backpack: Capture
    gate: Capture

    def capture(self, contender: str) -> Capture:
        """Return what that contender reads."""
        return self.gate if contender == "cryptofeed" else self.backpack

    def book_frames(self, messages: int) -> int:
        """Count the book changes among the first messages."""
        return sum(isinstance(event, Depth) for event in self.flow.events[:messages])


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How to run a contender: `per_second` paces, `lockstep` waits for every batch, else full."""

    contender: str
    warmup: int
    messages: int
    per_second: float = 0.0
    lockstep: int = 0
    touch_book: bool = False


@dataclass
class Sent:
    """When (`time.perf_counter`) and at which price the server sent; seconds."""

    started_at: float
    cpu_began: float
    seconds: float = 0.0
    cpu: float = 0.0
    waited_seconds: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Delays:
    """Quantiles of a paced run in microseconds; the backlog is what the median gained."""

    receipt_to_callback: dict[str, float]
    sent_to_callback: dict[str, float]
    backlog_growth: float


@dataclass(frozen=True, kw_only=True)
class Figures:
    """What one run cost; shares are of one core or of the time. `delays` only of paced runs.

    `books_delivered_share`: book callbacks for each book frame; below 1 states were skipped.
    """

    cpu_us_per_message: float
    messages_per_second: float
    cpu_share: float
    server_cpu_share: float
    server_waited_share: float
    books_delivered_share: float
    messages: int
    delays: Delays | None


def check(plan: Plan, day: Day, line: Line) -> None:
    """Raise `InvalidRun` unless every message came through once and every book ended right."""
    wrong = list(line.complaints)
    if line.seen != plan.messages or not line.measured:
        wrong.append(f"{plan.messages} messages sent, {line.seen} delivered")
    if plan.contender not in RECEIVERS:
        wrong.extend(_wrong_deliveries(plan, day, line))
    if wrong:
        raise InvalidRun(f"{plan.contender}: {'; '.join(wrong[:5])}")


def _wrong_deliveries(plan: Plan, day: Day, line: Line) -> Iterator[str]:
    book_frames = day.book_frames(plan.messages)
    trades = plan.messages - book_frames
    if line.trades != trades:
        yield f"{trades} trades sent, {line.trades} delivered"
    if plan.contender != "ccxt_conflated" and line.book_callbacks != book_frames:
        yield f"{book_frames} book changes sent, {line.book_callbacks} delivered"
    tops = day.flow.tops(plan.messages)
    for symbol, (bid, ask) in zip(day.capture(plan.contender).symbols, tops, strict=True):
        top = line.tops.get(symbol)
        if top is None or (Decimal(top.bid), Decimal(top.ask)) != (bid, ask):
            yield f"{symbol} ended at {top}, not at {bid} / {ask}"


def figures_of(plan: Plan, day: Day, sent: Sent, line: Line, times_file: Path) -> Figures:
    """Turn a checked run into figures."""
    return Figures(
        cpu_us_per_message=line.cpu_seconds / line.measured * MICROSECONDS,
        messages_per_second=line.measured / line.wall_seconds,
        cpu_share=line.cpu_seconds / line.wall_seconds,
        server_cpu_share=sent.cpu / sent.seconds,
        server_waited_share=sent.waited_seconds / sent.seconds,
        books_delivered_share=line.book_callbacks / day.book_frames(plan.messages),
        messages=line.measured,
        delays=_delays(plan, sent, times_file) if plan.per_second else None,
    )


def _delays(plan: Plan, sent: Sent, times_file: Path) -> Delays:
    times = array("d")
    times.frombytes(times_file.read_bytes())
    came_at, after_receipt = times[: plan.messages], times[plan.messages :]
    late = [at - sent.started_at - i / plan.per_second for i, at in enumerate(came_at)]
    late = late[plan.warmup :]
    fifth = max(1, len(late) // 5)
    growth = statistics.median(late[-fifth:]) - statistics.median(late[:fifth])
    return Delays(
        receipt_to_callback=quantiles_us(after_receipt[plan.warmup :]),
        sent_to_callback=quantiles_us(late),
        backlog_growth=growth * MICROSECONDS,
    )


def quantiles_us(seconds: Sequence[float]) -> dict[str, float]:
    """Return p50, p99 and the maximum in microseconds."""
    ordered = sorted(seconds)
    last = len(ordered) - 1
    places = {"p50": last // 2, "p99": last * 99 // 100, "max": last}
    return {name: ordered[place] * MICROSECONDS for name, place in places.items()}
