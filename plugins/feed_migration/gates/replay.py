"""A recorded trace through the judge that runs in production, line by line. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from feed_migration.gates.judge import Judge, confirm, end, judge, measure, needs_confirmation
from feed_migration.gates.trace import Trace, TraceTick
from feed_migration.model import Decision, Measurement, Outcome, Reason, Verdict


@dataclass(frozen=True, kw_only=True)
class ReplayLine:
    """What the gate says at a tick, and what each criterion gave there."""

    at_seconds: float
    decision: Decision
    measurements: dict[str, Outcome] = field(default_factory=dict)
    reasons: tuple[Reason, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """`{"at", "verdict", "measurements", "reasons"}`, plain JSON values."""
        at = self.at_seconds
        return {
            "at": int(at) if at == int(at) else at,
            "verdict": self.decision.value,
            "measurements": {name: outcome.value for name, outcome in self.measurements.items()},
            "reasons": [reason.to_json() for reason in self.reasons],
        }


def replay(trace: Trace) -> Iterator[ReplayLine]:
    """One line per tick of the trace until its end, and a last one for the end.

    The first verdict that is not Running stays. A trace that just stops leaves the gate as it is;
    one with an end has been ended from outside, and what is undecided by then is a Hold.
    """
    run = _Replay(trace)
    for index, tick in enumerate(trace.ticks):
        if trace.end_seconds is None or tick.at_seconds <= trace.end_seconds:
            yield run.take(tick, index)
    yield run.finish()


class _Replay:
    def __init__(self, trace: Trace) -> None:
        self._trace = trace
        self._criteria = {criterion.name: criterion for criterion in trace.gate.criteria}
        # where in the trace the last second sample of a criterion at a time is
        self._second_samples = {
            (name, tick.at_seconds): index
            for index, tick in enumerate(trace.ticks)
            if tick.confirm
            for name in tick.answers
        }
        self._known: dict[tuple[str, float], Measurement] = {}
        self._pending: dict[tuple[str, float], Measurement] = {}
        self._judge = Judge(trace.gate)
        self._now_seconds = 0.0
        self._verdict = Verdict(decision=Decision.RUNNING, at_seconds=0.0)

    def take(self, tick: TraceTick, index: int) -> ReplayLine:
        measured = [
            replace(
                measure(criterion, tick.answers[name], tick.at_seconds, self._trace.fleet_size),
                backfilled=tick.backfilled,
            )
            for name, criterion in self._criteria.items()
            if name in tick.answers
        ]
        fresh = self._confirmed(measured) if tick.confirm else self._asked(measured, index)
        self._add(tick.at_seconds, fresh)
        return self._line(tick.at_seconds, {one.criterion: one.outcome for one in measured})

    def finish(self) -> ReplayLine:
        # a second sample that never came leaves the first one standing
        left = list(self._pending.values())
        self._pending.clear()
        self._add(self._now_seconds, left)
        at_seconds = self._trace.end_seconds
        if at_seconds is None:
            return self._line(self._now_seconds, {})
        if not self._verdict.final:
            self._verdict = end(self._trace.gate, self._known.values(), at_seconds)
        return self._line(at_seconds, {})

    def _asked(self, measured: Sequence[Measurement], index: int) -> list[Measurement]:
        """What stands now; the rest waits for its second sample."""
        fresh = []
        for one in measured:
            key = (one.criterion, one.tick_seconds)
            if key in self._known or key in self._pending:
                continue
            if needs_confirmation(one) and self._second_samples.get(key, -1) > index:
                self._pending[key] = one
            else:
                fresh.append(one)
        return fresh

    def _confirmed(self, measured: Sequence[Measurement]) -> list[Measurement]:
        return [
            confirm(self._pending.pop(key), second)
            for second in measured
            if (key := (second.criterion, second.tick_seconds)) in self._pending
        ]

    def _add(self, at_seconds: float, fresh: Sequence[Measurement]) -> None:
        in_order = at_seconds >= self._now_seconds
        self._now_seconds = max(self._now_seconds, at_seconds)
        self._known |= {(one.criterion, one.tick_seconds): one for one in fresh}
        if self._verdict.final:
            return
        if in_order:
            self._verdict = self._judge.add(at_seconds, fresh, pending=bool(self._pending))
        else:
            verdict = judge(self._trace.gate, self._known.values(), self._now_seconds)
            if not self._pending or verdict.decision is Decision.ROLLBACK:
                self._verdict = verdict
            self._rebuild()

    def _rebuild(self) -> None:
        self._judge = Judge(self._trace.gate)
        for one in sorted(self._known.values(), key=lambda one: one.tick_seconds):
            self._judge.add(one.tick_seconds, (one,))

    def _line(self, at_seconds: float, outcomes: dict[str, Outcome]) -> ReplayLine:
        return ReplayLine(
            at_seconds=at_seconds,
            decision=self._verdict.decision,
            measurements=outcomes,
            reasons=self._verdict.reasons,
        )
