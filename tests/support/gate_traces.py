"""Gates, answers and traces in a line each, for the tests of the judge."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import nan

from feed_migration.gates.judge import judge, measure
from feed_migration.model import (
    Answer,
    Band,
    Criterion,
    Decision,
    Gate,
    Measurement,
    Outcome,
    Severity,
    Verdict,
)

GOOD, BAD, BETWEEN = 0.3, 60.0, 40.0
SERIES = (("instance_id", "feed-00"), ("symbol", "SOL-USDC"))


def criterion(name: str = "stale", **changes: object) -> Criterion:
    """Success up to 30, Failure from 45."""
    values = {
        "query": f"max({name})",
        "success": Band(maximum=30),
        "failure": Band(minimum=45),
        "severity": Severity.HARD,
    }
    return Criterion(name=name, **{**values, **changes})


def gate(*criteria: Criterion, **changes: object) -> Gate:
    """Every 15 s, one minute at least, ten at most."""
    values = {
        "interval_seconds": 15.0,
        "min_duration_seconds": 60.0,
        "max_duration_seconds": 600.0,
        "criteria": criteria or (criterion(),),
    }
    return Gate(**{**values, **changes})


def answer(*values: float, **changes: object) -> Answer:
    """One series per value, one instance each."""
    series = tuple(
        ((("instance_id", f"feed-{index:02}"),), value) for index, value in enumerate(values)
    )
    return Answer(**{"series": series, **changes})


BASELINE = answer(0.5).series
KINDS: Mapping[str, Answer] = {
    "good": answer(GOOD, baseline=BASELINE),
    "bad": answer(BAD, baseline=BASELINE),
    "between": answer(BETWEEN, baseline=BASELINE),
    "nan": answer(nan, baseline=answer(nan).series),
    "gone": answer(baseline=BASELINE),
    "empty": answer(baseline=()),
    "error": Answer(error="connect: refused"),
}


def measured(kinds: Iterable[str], one: Criterion, interval: float = 15.0) -> list[Measurement]:
    """Measurements of consecutive ticks; `bad?` is a Failure that its second sample refuted."""
    result = []
    for index, kind in enumerate(kinds):
        answered = KINDS[kind.removesuffix("?")]
        measurement = measure(one, answered, index * interval, fleet_size=1)
        result.append(measurement.refuted("") if kind.endswith("?") else measurement)
    return result


def judged(kinds: Sequence[str], one: Criterion | None = None, **changes: object) -> Verdict:
    """The verdict at the last of consecutive ticks of a gate with one criterion."""
    one = one or criterion()
    watched = gate(one, **changes)
    interval = watched.interval_seconds
    return judge(watched, measured(kinds, one, interval), max(0, len(kinds) - 1) * interval)


def decided(kinds: Sequence[str], one: Criterion | None = None, **changes: object) -> Decision:
    """What `judged` decides."""
    return judged(kinds, one, **changes).decision


@dataclass
class Recording:
    """A Prometheus that is a list of answers, one per tick of 15 s; later ones repeat the last.

    `confirms` are answers at other times. `asked` notes every question, `ranges`
    those that came at once.
    """

    answers: Sequence[Mapping[str, Answer]]
    started_unix: float = 1_000_000.0
    interval_seconds: float = 15.0
    delay_seconds: float = 5.0
    confirms: Mapping[tuple[str, float], Answer] = field(default_factory=dict)
    away: bool = False
    asked: list[tuple[str, float]] = field(default_factory=list)
    ranges: list[tuple[str, float, int]] = field(default_factory=list)

    def answer(self, one: Criterion, at_unix: float, *, again: bool = False) -> Answer:
        """What was recorded for the tick whose query time this is, however often it is asked."""
        seconds = round(at_unix - self.started_unix + self.delay_seconds, 3)
        self.asked.append((one.name, seconds))
        if self.away:
            return Answer(error="connect: refused")
        slot, rest = divmod(seconds, self.interval_seconds)
        answers = self.answers[min(int(slot), len(self.answers) - 1)]
        if rest:
            return self.confirms.get((one.name, seconds), answers[one.name])
        return answers[one.name]

    def history(
        self, one: Criterion, first_unix: float, step_seconds: float, count: int
    ) -> list[Answer]:
        """The same answers, in one go."""
        seconds = round(first_unix - self.started_unix + self.delay_seconds, 3)
        self.ranges.append((one.name, seconds, count))
        return [self.answer(one, first_unix + index * step_seconds) for index in range(count)]


@dataclass
class MemoryLog:
    """The journal's measurements in memory: first written stands."""

    rows: dict[tuple[str, float], Measurement] = field(default_factory=dict)

    def record(
        self, migration_id: str, step: str, measurements: Iterable[Measurement], *, run: str = "1"
    ) -> list[Measurement]:
        """Keep what is new; returns what stands."""
        return [
            self.rows.setdefault((one.criterion, one.tick_seconds), one) for one in measurements
        ]

    def measurements(self, migration_id: str, step: str, run: str = "1") -> list[Measurement]:
        """All rows in tick order, through their stored form."""
        rows = sorted(self.rows.values(), key=lambda one: (one.tick_seconds, one.criterion))
        return [Measurement.from_row(one.to_row()) for one in rows]

    def altered(self, migration_id: str, step: str, run: str = "1") -> str:
        """Nobody changes what is in memory."""
        del migration_id, step, run
        return ""


def outcomes(measurements: Iterable[Measurement]) -> list[Outcome]:
    """Outcomes in order."""
    return [one.outcome for one in measurements]
