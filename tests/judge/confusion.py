"""One set of traces through every judge: which of good, bad and unproven each gets right."""

from collections.abc import Callable, Sequence
from math import inf, nan

from feed_migration.gates.trace import Trace, TraceTick
from feed_migration.model import Answer, Decision, FailureWindow, Severity
from tests.judge.oracles import RULES
from tests.support.gate_traces import answer, criterion, gate

PROMOTE, HOLD, ROLLBACK = Decision.PROMOTE, Decision.HOLD, Decision.ROLLBACK
TICKS = 41
OLD = answer(0.5, 0.5).series
FINE = answer(0.4, 0.4, baseline=OLD, age_seconds=1.0)
SICK = answer(60.0, 60.0, baseline=OLD, age_seconds=1.0)
REFUSED = Answer(error="connect: refused")
GONE = answer(baseline=OLD)
NOTHING = answer(baseline=())
QUIET = answer(nan, nan, baseline=answer(nan, nan).series, age_seconds=1.0)
GATE = gate(
    criterion(
        severity=Severity.SOFT,
        expect_series="fleet",
        max_age_seconds=45.0,
        consecutive_failure_limit=3,
        failure_window=FailureWindow(limit=6, window_seconds=300.0),
    ),
    min_duration_seconds=300.0,
    max_duration_seconds=600.0,
    min_coverage=0.7,
)


def trace(
    at: Callable[[int], Answer],
    *,
    second: Answer | None = None,
    end: float | None = None,
) -> Trace:
    """Ten minutes of ticks; `second` is what a second sample gives, by default the same again."""
    ticks = []
    for index in range(TICKS):
        first = at(index)
        ticks.append(TraceTick(at_seconds=index * 15.0, answers={"stale": first}))
        again = {"stale": second or first}
        ticks.append(TraceTick(at_seconds=index * 15.0, answers=again, confirm=True))
    return Trace(gate=GATE, fleet_size=2, ticks=tuple(ticks), end_seconds=end)


def series(*values: float) -> Answer:
    """Native series beside healthy ccxt ones."""
    return answer(*values, baseline=OLD, age_seconds=1.0)


def turned(then: Answer, since: int = 10, until: int = TICKS) -> Trace:
    """Well, and from a tick on something else."""
    return trace(lambda index: then if since <= index < until else FINE)


CASES: dict[str, tuple[Decision, Trace]] = {
    "all well": (PROMOTE, trace(lambda index: FINE)),
    "one slow tick, well at the second sample": (
        PROMOTE,
        trace(lambda index: SICK if index == 9 else FINE, second=FINE),
    ),
    "a slow tick every minute, well at each second sample": (
        PROMOTE,
        trace(lambda index: SICK if index in {2, 6, 10, 14, 18} else FINE, second=FINE),
    ),
    "Prometheus away for 90 s": (PROMOTE, turned(REFUSED, 5, 11)),
    "Prometheus restarted, empty for 45 s": (PROMOTE, turned(NOTHING, 5, 8)),
    "NaN on both sides for 75 s": (PROMOTE, turned(QUIET, 5, 10)),
    "slow from the first tick": (ROLLBACK, trace(lambda index: SICK)),
    "slow from the middle on": (ROLLBACK, turned(SICK)),
    "one instance of two slow, first in the answer": (ROLLBACK, turned(series(60.0, 0.4))),
    "one instance of two slow, last in the answer": (ROLLBACK, turned(series(0.4, 60.0))),
    "native series gone, ccxt there": (ROLLBACK, turned(GONE)),
    "one instance of two gone": (ROLLBACK, turned(series(0.4))),
    "frozen: the old value scraped again and again": (
        ROLLBACK,
        turned(answer(0.4, 0.4, baseline=OLD, age_seconds=300.0)),
    ),
    "infinite": (ROLLBACK, turned(series(inf, inf))),
    "down 4 of 10 minutes, by turns": (
        ROLLBACK,
        trace(lambda index: SICK if index % 10 in {6, 7, 8, 9} else FINE),
    ),
    "gone from the first tick": (ROLLBACK, trace(lambda index: GONE)),
    "NaN on both sides throughout": (HOLD, trace(lambda index: QUIET)),
    "between good and bad throughout": (HOLD, trace(lambda index: series(40.0, 40.0))),
    "cancelled before the first sample": (
        HOLD,
        Trace(gate=GATE, fleet_size=2, ticks=(), end_seconds=0.0),
    ),
    "cancelled after a minute of good ticks": (HOLD, trace(lambda index: FINE, end=60.0)),
    "Prometheus away throughout": (HOLD, trace(lambda index: REFUSED)),
    "no data on either side throughout": (HOLD, trace(lambda index: NOTHING)),
}


def matrix() -> dict[str, dict[str, Decision]]:
    """What each judge decides in each case."""
    return {
        case: {name: rule(recorded) for name, rule in RULES.items()}
        for case, (_, recorded) in CASES.items()
    }


def markdown() -> str:
    """The table of docs/gates.md: every case, and below it how often each judge was right."""
    found = matrix()
    lines = [
        f"| Trace | Right | {' | '.join(RULES)} |",
        f"| --- | --- |{' --- |' * len(RULES)}",
    ]
    for case, decisions in found.items():
        right = CASES[case][0]
        cells = [
            decision.value if decision is right else f"**{decision.value}**"
            for decision in decisions.values()
        ]
        lines.append(f"| {case} | {right.value} | {' | '.join(cells)} |")
    for label, count in _counts(found):
        lines.append(f"| {label} | | {' | '.join(str(count[name]) for name in RULES)} |")
    return "\n".join(lines)


def _counts(
    found: dict[str, dict[str, Decision]],
) -> Sequence[tuple[str, dict[str, int]]]:
    def count(wrong: Callable[[Decision, Decision], bool]) -> dict[str, int]:
        return {
            name: sum(wrong(CASES[case][0], one[name]) for case, one in found.items())
            for name in RULES
        }

    return (
        ("promoted what was bad or unproven", count(lambda r, d: d is PROMOTE and r is not d)),
        ("rolled back what was good", count(lambda r, d: r is PROMOTE and d is ROLLBACK)),
        ("right", count(lambda r, d: r is d)),
    )
