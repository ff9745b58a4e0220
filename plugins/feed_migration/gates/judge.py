"""The judge: measurements and a time become a verdict. Pure, so that it replays and resumes.

Verdicts fall at ticks, in order, each on what was measured until then; the first one that is not
Running ends the gate. So a run that was killed and judged its ticks late ends as if it never was.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from math import ceil
from typing import Self

from feed_migration.gates.measuring import confirm, measure, needs_confirmation
from feed_migration.gates.tracking import Track, slot_of
from feed_migration.model import Decision, Gate, Labels, Measurement, Reason, Verdict

__all__ = ["Judge", "confirm", "end", "judge", "measure", "needs_confirmation"]


def judge(gate: Gate, measurements: Iterable[Measurement], now_seconds: float) -> Verdict:
    """The verdict at `now_seconds` after the gate's start; any order of measurements will do.

    Between ticks it judges what the last tick left, and counts every tick before now as expected.
    """
    verdict, _ = _judged(gate, measurements, now_seconds)
    return verdict


def end(
    gate: Gate, measurements: Iterable[Measurement], at_seconds: float, *, open_ends: bool = False
) -> Verdict:
    """The verdict when the step is ended from outside: what is not decided by then is a Hold.

    With `open_ends`, second samples or missed ticks that were never asked, nothing is promoted.
    """
    verdict, judge = _judged(gate, measurements, at_seconds)
    if verdict.final and not (open_ends and verdict.decision is Decision.PROMOTE):
        return verdict
    text = f"ended from outside at {at_seconds:g} s, before a verdict"
    reasons = (Reason(criterion="gate", text=text), *judge.doubts(at_seconds))
    return Verdict(decision=Decision.HOLD, at_seconds=at_seconds, reasons=reasons)


def _judged(
    gate: Gate, measurements: Iterable[Measurement], now_seconds: float
) -> tuple[Verdict, "Judge"]:
    judge = Judge(gate)
    ordered = sorted(measurements, key=lambda one: one.tick_seconds)
    for tick_seconds, group in groupby(ordered, key=lambda one: one.tick_seconds):
        if tick_seconds > now_seconds:
            break
        if (verdict := judge.add(tick_seconds, tuple(group))).final:
            return verdict, judge
    return judge.verdict_at(now_seconds), judge


@dataclass
class Judge:
    """The judge's memory of one gate; takes ticks in ascending order."""

    gate: Gate
    tracks: dict[str, Track] = field(default_factory=dict)
    last_tick_seconds: float | None = None

    def __post_init__(self) -> None:
        for criterion in self.gate.criteria:
            self.tracks.setdefault(criterion.name, Track(criterion, self.gate))

    def fork(self) -> Self:
        """An independent copy, for a look ahead."""
        return replace(self, tracks={name: track.fork() for name, track in self.tracks.items()})

    def add(
        self,
        tick_seconds: float,
        measurements: Sequence[Measurement],
        *,
        pending: bool = False,
        gaps: bool = False,
    ) -> Verdict:
        """Take all measurements of one tick and judge at its time.

        While a Failure is `pending` its second sample, nothing but another's Failure decides;
        while ticks until then are `gaps` that can be asked yet, nothing but a breach or blindness:
        the verdict may have fallen in one of them.
        """
        self.last_tick_seconds = tick_seconds
        for measurement in measurements:
            if measurement.criterion in self.tracks:
                self.tracks[measurement.criterion].add(measurement)
        return self.verdict_at(tick_seconds, pending=pending, gaps=gaps)

    def verdict_at(
        self, now_seconds: float, *, pending: bool = False, gaps: bool = False
    ) -> Verdict:
        """The verdict on everything taken so far."""
        decision, reasons = self._breaches()
        if not reasons and not pending:
            decision, reasons = self._without_breach(now_seconds, gaps=gaps)
        return Verdict(decision=decision, at_seconds=now_seconds, reasons=reasons)

    def doubts(self, now_seconds: float) -> tuple[Reason, ...]:
        """What stands between the gate and a Promote; empty when nothing does."""
        if now_seconds < self.gate.min_duration_seconds:
            text = f"{now_seconds:g} s watched, at least {self.gate.min_duration_seconds:g} s"
            return (Reason(criterion="gate", text=text),)
        deciding = [track for track in self.tracks.values() if track.criterion.decides]
        if not deciding:
            return (Reason(criterion="gate", text="no criterion decides: nothing can be proven"),)
        expected = self._expected_ticks(now_seconds)
        return _reasons((track, track.doubt(expected)) for track in deciding)

    def _breaches(self) -> tuple[Decision, tuple[Reason, ...]]:
        reasons = _reasons((track, track.breach()) for track in self.tracks.values())
        return (Decision.ROLLBACK if reasons else Decision.RUNNING), reasons

    def _without_breach(
        self, now_seconds: float, *, gaps: bool
    ) -> tuple[Decision, tuple[Reason, ...]]:
        gate = self.gate
        blind = _reasons((track, track.blindness(now_seconds)) for track in self.tracks.values())
        if blind:
            return gate.on_blind, blind
        if gaps:
            return Decision.RUNNING, ()
        doubts = self.doubts(now_seconds)
        if not doubts:
            return Decision.PROMOTE, self._evidence(now_seconds)
        if now_seconds >= gate.max_duration_seconds:
            timeout = f"not proven within max_duration, {gate.max_duration_seconds:g} s"
            return gate.on_timeout, (Reason(criterion="gate", text=timeout), *doubts)
        return Decision.RUNNING, ()

    def _evidence(self, now_seconds: float) -> tuple[Reason, ...]:
        expected = self._expected_ticks(now_seconds)
        return _reasons(
            (track, f"success, {track.conclusive_slots} of {expected} ticks conclusive")
            for track in self.tracks.values()
            if track.criterion.decides
        )

    def _expected_ticks(self, now_seconds: float) -> int:
        """Ticks due before now, and the one that was just taken."""
        due = ceil(now_seconds / self.gate.interval_seconds - 1e-6)
        last = self.last_tick_seconds
        return max(due, 0 if last is None else slot_of(self.gate, last) + 1)


def _reasons(findings: Iterable[tuple[Track, str]]) -> tuple[Reason, ...]:
    return tuple(_reason(track, text) for track, text in findings if text)


def _reason(track: Track, text: str) -> Reason:
    criterion, latest = track.criterion, track.latest
    if latest is None:
        return Reason(
            criterion=criterion.name,
            text=f"{criterion.name}: {text}",
            threshold=criterion.threshold,
            query=criterion.query,
        )
    seen = latest.outcome.value if latest.value is None else f"{latest.value:g}"
    where = f" on {_labels_text(latest.series)}" if latest.series else ""
    why = f" [{latest.detail}]" if latest.detail else ""
    bounds = f" ({criterion.threshold})" if criterion.threshold else ""
    return Reason(
        criterion=criterion.name,
        text=f"{criterion.name} {seen}{where}: {text}{bounds}{why}",
        value=latest.value,
        threshold=criterion.threshold,
        series=latest.series,
        query=criterion.query,
    )


def _labels_text(labels: Labels) -> str:
    return ",".join(f"{name}={value}" for name, value in labels)
