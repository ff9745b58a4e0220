"""A/A: both sides of every comparison are the same process, calm or noisy; nothing may roll back.

A run is half an hour of a cutover gate at 15 s with the criteria of plans/production.yaml that have
a control group, and one without. One-minute windows of Prometheus overlap from tick to tick, and so
do these.
"""

import random
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from feed_migration.gates.judge import Judge, confirm, measure, needs_confirmation
from feed_migration.model import (
    Answer,
    Band,
    Comparison,
    Criterion,
    Decision,
    Gate,
    Measurement,
    Series,
    Severity,
)

TICKS, INTERVAL_SECONDS, WINDOW_TICKS = 121, 15.0, 4
WINDOW_SECONDS = INTERVAL_SECONDS * WINDOW_TICKS
# Of so many runs one more has a native side that is worse by this factor
WORSE_EVERY, WORSE = 50, 10.0
LABELS = (("instance_id", "feed-00"),)
type Process = Callable[[random.Random], Iterator[float]]


def _steady(chance: random.Random) -> Iterator[float]:
    while True:
        yield chance.lognormvariate(-3, 0.1)


def _noisy(chance: random.Random) -> Iterator[float]:
    while True:
        yield chance.lognormvariate(-3, 0.6)


def _heavy(chance: random.Random) -> Iterator[float]:
    while True:
        yield 0.02 * chance.paretovariate(1.3)


def _drifting(chance: random.Random) -> Iterator[float]:
    level = 0.0
    while True:
        level = 0.8 * level + chance.gauss(0, 0.06)
        yield 0.05 * 2.718 ** (level + chance.gauss(0, 0.1))


def _rare(chance: random.Random) -> Iterator[float]:
    while True:
        yield float(chance.random() < 0.02)


def _often(chance: random.Random) -> Iterator[float]:
    while True:
        yield float(sum(chance.random() < 0.1 for _ in range(30)))


def _bursts(chance: random.Random) -> Iterator[float]:
    while True:
        yield float(chance.randrange(5, 60)) if chance.random() < 0.02 else 0.0


LATENCIES: tuple[Process, ...] = (_steady, _noisy, _heavy, _drifting)
ERRORS: tuple[Process, ...] = (_rare, _often, _bursts)


def gate() -> Gate:
    """Latency by pairs and by rank, errors by rate, and an age that jumps for a moment."""

    def compared(name: str, method: Any, limit: float, samples: int) -> Criterion:
        return Criterion(
            name=name,
            query=name,
            baseline_query=name,
            severity=Severity.SOFT,
            comparison=Comparison(
                method=method,
                max_increase=limit,
                min_samples=samples,
                window_seconds=WINDOW_SECONDS,
                exposure_query="m" if method == "rate_ratio" else None,
                baseline_exposure_query="m" if method == "rate_ratio" else None,
            ),
        )

    age = Criterion(name="age", query="age", success=Band(maximum=30), failure=Band(minimum=45))
    return Gate(
        interval_seconds=INTERVAL_SECONDS,
        min_duration_seconds=1800.0,
        max_duration_seconds=7200.0,
        criteria=(
            age,
            compared("paired", "paired_ratio", 1.2, 50),
            compared("rank", "rank", 1.2, 50),
            compared("errors", "rate_ratio", 1.0, 20),
        ),
    )


def same_feed(runs: int, seed: int) -> dict[str, Any]:
    """So many gates, each with its own noise; which of them rolled back, and over what."""
    watched, decisions, blamed = gate(), Counter[str](), []
    for number in range(runs):
        decision, why = _run(watched, random.Random(f"{seed}/{number}"))
        decisions[decision.value] += 1
        if decision is Decision.ROLLBACK:
            blamed.append({"run": number, "why": why})
    worse = [
        _run(watched, random.Random(f"{seed}/worse/{number}"), worse=WORSE)[0]
        for number in range(max(1, runs // WORSE_EVERY))
    ]
    return {
        "aa_runs": runs,
        "aa_false_rollbacks": len(blamed),
        "aa_decisions": dict(sorted(decisions.items())),
        "aa_worse_runs": len(worse),
        "aa_worse_rollbacks": worse.count(Decision.ROLLBACK),
        "blamed": blamed[:10],
        "seed": seed,
    }


def complaints(found: Mapping[str, Any]) -> list[str]:
    """Why the promise is broken, or was not put to the proof.

    At most one in a thousand goes back. A judge that never says anything, or only ever Promote,
    would do so, too: most have to promote, and a feed that is worse has to go back.
    """
    runs, promoted = found["aa_runs"], found["aa_decisions"].get(Decision.PROMOTE.value, 0)
    wrong = []
    if found["aa_false_rollbacks"] * 1000 > max(runs, 1000):
        wrong.append(f"{found['aa_false_rollbacks']} of {runs} gates went back over the same feed")
    if promoted * 2 <= runs:
        wrong.append(f"only {promoted} of {runs} gates promoted the same feed")
    worse, back = found["aa_worse_runs"], found["aa_worse_rollbacks"]
    if not back or back < worse:
        wrong.append(f"only {back} of {worse} gates went back over a feed that is much worse")
    return wrong


def _run(watched: Gate, chance: random.Random, *, worse: float = 1.0) -> tuple[Decision, str]:
    latency, error = chance.choice(LATENCIES), chance.choice(ERRORS)
    sides = [_Side(chance, latency, error) for _ in range(2)]
    judge = Judge(watched)
    for tick in range(TICKS):
        mine, theirs = (side.windows() for side in sides)
        mine = {name: value * worse for name, value in mine.items()}
        verdict = judge.add(
            tick * INTERVAL_SECONDS,
            [_measured(one, tick, mine, theirs, chance) for one in watched.criteria],
        )
        if verdict.final:
            return verdict.decision, verdict.reasons[0].text
    return Decision.RUNNING, ""


class _Side:
    def __init__(self, chance: random.Random, latency: Process, error: Process) -> None:
        self._sources = [(latency(chance), True), (error(chance), False)]
        self._kept = [deque[float](maxlen=WINDOW_TICKS) for _ in self._sources]
        for _ in range(WINDOW_TICKS - 1):
            self.windows()

    def windows(self) -> dict[str, float]:
        """The mean latency and the count of errors of the last minute."""
        found = []
        for (source, mean), kept in zip(self._sources, self._kept, strict=True):
            kept.append(next(source))
            found.append(sum(kept) / len(kept) if mean else sum(kept))
        return {"paired": found[0], "rank": found[0], "errors": found[1]}


def _measured(
    one: Criterion,
    tick: int,
    mine: dict[str, float],
    theirs: dict[str, float],
    chance: random.Random,
) -> Measurement:
    at = tick * INTERVAL_SECONDS
    if one.name == "age":
        # one tick in a hundred is slow, and well again five seconds later
        first = measure(one, _answer(60.0 if chance.random() < 0.01 else 0.4), at, 1)
        again = measure(one, _answer(0.4), at + 5, 1)
        return confirm(first, again) if needs_confirmation(first) else first
    answer = replace(_answer(mine[one.name]), baseline=_series(theirs[one.name]))
    return measure(one, replace(answer, exposure=4e4, baseline_exposure=4e4), at, 1)


def _answer(value: float) -> Answer:
    return Answer(series=_series(value))


def _series(value: float) -> tuple[Series, ...]:
    return ((LABELS, value),)
