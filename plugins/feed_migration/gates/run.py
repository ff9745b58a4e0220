"""A gate on its way: asks every due tick once, keeps the measurements, judges.

All state is the journal's measurements: a new GateRun with the same arguments goes on where a
killed one stopped. What fails is written only with its second sample, so a row is always final.
Nothing is decided over rows that somebody has changed since: such a gate ends in a Hold.
"""

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Protocol

from feed_migration.gates.judge import Judge, confirm, end, measure, needs_confirmation
from feed_migration.gates.tracking import slot_of
from feed_migration.model import Answer, Criterion, Decision, Gate, Measurement, Reason, Verdict

# Criteria are asked side by side, so that a Prometheus that hangs costs one timeout, not twenty.
PARALLEL_QUERIES = 8
# Missed ticks per range query: an hour of them at 15 s; Prometheus allows 11,000.
HISTORY_TICKS = 240


class Source(Protocol):
    """Answers criteria as of a time; `PrometheusSource`, or a recording."""

    def answer(self, criterion: Criterion, at_unix: float, *, again: bool = ...) -> Answer:
        """The answer at `at_unix`, problems in `Answer.error`; called from several threads.

        Asked `again`, it is a new one, whatever was answered a moment ago.
        """

    def history(
        self, criterion: Criterion, first_unix: float, step_seconds: float, count: int
    ) -> Sequence[Answer]:
        """The answers at `count` past times, or one with an error that stands for all."""


class MeasurementLog(Protocol):
    """The journal's measurements: unique per criterion and tick of a run, first one stands."""

    def record(
        self,
        migration_id: str,
        step: str,
        measurements: Iterable[Measurement],
        *,
        run: str = ...,
    ) -> Sequence[Measurement]:
        """Keep measurements and return those that stand; a repeat changes nothing."""

    def measurements(self, migration_id: str, step: str, run: str = ...) -> Sequence[Measurement]:
        """All measurements of one run of a gate."""

    def altered(self, migration_id: str, step: str, run: str = ...) -> str:
        """Why these are not those that were recorded, "" where they are."""


class GateRun:
    """One run of `gate` for a step; tick k is at `started_unix` + k x interval, in unix seconds.

    `run` tells the runs of one step apart: a gate that a person starts again after a Hold inherits
    nothing. `fleet_size` is how many instances `expect_series: fleet` means at this step.
    """

    def __init__(
        self,
        *,
        gate: Gate,
        step_name: str,
        migration_id: str,
        started_unix: float,
        fleet_size: int,
        source: Source,
        journal: MeasurementLog,
        run: str = "1",
    ) -> None:
        self._gate = gate
        self._step_name = step_name
        self._migration_id = migration_id
        self._started_unix = started_unix
        self._fleet_size = fleet_size
        self._source = source
        self._journal = journal
        self._run = run
        self._known: dict[int, dict[str, Measurement]] = {}
        self._pending: dict[tuple[int, str], Measurement] = {}
        self._closed = Judge(gate)
        self._first_open = 0
        self._verdict: Verdict | None = None
        self._newest_asked = -1
        self._history: dict[tuple[int, str], Answer] = {}
        for measurement in journal.measurements(migration_id, step_name, run):
            self._remember(measurement)
        self._altered = journal.altered(migration_id, step_name, run)

    def tick(self, now_unix: float) -> Verdict:
        """Ask and judge everything that is due at `now_unix`; a final verdict stays.

        Missed ticks are asked as of their own time, in order, before any newer one. Raises only
        what the journal raises.
        """
        if self._verdict is not None:
            return self._verdict
        now_seconds = now_unix - self._started_unix
        verdict = Verdict(decision=Decision.RUNNING, at_seconds=max(now_seconds, 0.0))
        if self._altered:
            self._verdict = self._disbelieved(verdict.at_seconds)
            return self._verdict
        if now_seconds < 0:
            return verdict
        newest = slot_of(self._gate, now_seconds)
        away = False
        for slot in self._due_slots(newest):
            if away and slot < newest:
                continue
            self._confirm_due(now_seconds)
            verdict = self._judged(slot - 1)
            if verdict.final:
                break
            self._fetch_history(slot, newest)
            away = not self._ask(slot, now_seconds, newest)
            verdict = self._judged(slot)
            if verdict.final:
                break
        self._verdict = verdict if verdict.final else None
        return verdict

    def end(self, now_unix: float) -> Verdict:
        """The verdict of a gate that is ended from outside now: Hold, if nothing is decided.

        Nothing is promoted over a second sample that is due, or a tick that can still be asked.
        """
        seconds = max(now_unix - self._started_unix, 0.0)
        if self._verdict is None and self._altered:
            self._verdict = self._disbelieved(seconds)
        if self._verdict is None:
            missed = range(self._first_open, max(self._known, default=0))
            open_ends = bool(self._pending) or any(map(self._unasked, missed))
            self._verdict = end(self._gate, self.measurements(), seconds, open_ends=open_ends)
        return self._verdict

    @property
    def gate(self) -> Gate:
        """What it judges by."""
        return self._gate

    @property
    def newest_seconds(self) -> float | None:
        """The newest tick that was asked, also by an earlier judge; None before the first."""
        newest = max(self._newest_asked, max(self._known, default=-1))
        return None if newest < 0 else self._tick_seconds(newest)

    def next_due_unix(self) -> float:
        """When `tick` has something to do next, in unix seconds: a tick or a second sample."""
        due = [self._tick_seconds(self._newest_asked + 1)]
        due += [self._confirm_seconds(*key) for key in self._pending]
        return self._started_unix + min(due)

    def measurements(self) -> tuple[Measurement, ...]:
        """All measurements that are final, in tick order."""
        return tuple(
            measurement
            for slot in sorted(self._known)
            for measurement in self._known[slot].values()
        )

    def _disbelieved(self, at_seconds: float) -> Verdict:
        text = f"evidence was altered, see `backpack-migrate audit verify`: {self._altered}"
        reasons = (Reason(criterion="gate", text=text),)
        return Verdict(decision=Decision.HOLD, at_seconds=at_seconds, reasons=reasons)

    def _due_slots(self, newest: int) -> list[int]:
        """Ticks that lack a measurement, and the newest one, in order."""
        return [
            slot
            for slot in range(self._first_open, newest + 1)
            if slot == newest or self._unasked(slot) or self._waiting(slot)
        ]

    def _unasked(self, slot: int) -> list[Criterion]:
        known = self._known.get(slot, {})
        return [
            criterion
            for criterion in self._gate.criteria
            if criterion.name not in known and (slot, criterion.name) not in self._pending
        ]

    def _waiting(self, slot: int) -> bool:
        return any(waiting == slot for waiting, _ in self._pending)

    def _ask(self, slot: int, now_seconds: float, newest: int) -> bool:
        """Ask what the tick lacks; False if it stays open because Prometheus is away."""
        late = slot < newest
        tick_seconds = self._tick_seconds(slot)
        criteria = self._unasked(slot)
        answers = self._answers_at(slot, criteria)
        if late and _silent(answers):
            if not self._answers_now(newest):
                # An error now is no evidence about then: history may still have this tick.
                return False
            # once more: what it could not say in passing it would have said at the time
            answers = self._answers_at(slot, criteria, again=True)
        self._newest_asked = max(self._newest_asked, slot)
        fresh = []
        for criterion, answer in zip(criteria, answers, strict=True):
            measured = measure(criterion, answer, tick_seconds, self._fleet_size)
            measured = replace(measured, backfilled=late)
            if needs_confirmation(measured):
                self._pending[slot, criterion.name] = measured
            else:
                fresh.append(measured)
        self._keep(fresh)
        self._confirm_due(now_seconds)
        return True

    def _answers_now(self, newest: int) -> bool:
        """Whether Prometheus says anything of the newest tick, whose answers are kept for it.

        Nothing of a newest tick that was asked before: the next one will tell.
        """
        criteria = self._unasked(newest)
        answers = self._answers_at(newest, criteria)
        for criterion, answer in zip(criteria, answers, strict=True):
            self._history[newest, criterion.name] = answer
        return bool(answers) and not _silent(answers)

    def _fetch_history(self, slot: int, newest: int) -> None:
        """Ask for this missed tick and those after it at once; what fails is asked one by one."""
        missed = min(newest - slot, HISTORY_TICKS)
        if missed <= 1 or any(key[0] == slot for key in self._history):
            return
        first_unix = self._query_unix(self._tick_seconds(slot))
        step_seconds = self._gate.interval_seconds

        def ask(criterion: Criterion) -> Sequence[Answer]:
            return self._source.history(criterion, first_unix, step_seconds, missed)

        criteria = self._unasked(slot)
        self._history = {
            (slot + index, criterion.name): answer
            for criterion, answers in zip(criteria, _at_once(ask, criteria), strict=True)
            if len(answers) == missed and not any(_broken(answer) for answer in answers)
            for index, answer in enumerate(answers)
        }

    def _answers_at(
        self, slot: int, criteria: Sequence[Criterion], *, again: bool = False
    ) -> list[Answer]:
        known = {one.name: self._history.pop((slot, one.name), None) for one in criteria}
        rest = [one for one in criteria if known[one.name] is None]
        asked = self._answers([(one, self._tick_seconds(slot)) for one in rest], again=again)
        fresh = dict(zip((one.name for one in rest), asked, strict=True))
        return [known[one.name] or fresh[one.name] for one in criteria]

    def _confirm_due(self, now_seconds: float) -> None:
        """Take the second samples whose time has come, each as of its own time."""
        due = [key for key in self._pending if self._confirm_seconds(*key) <= now_seconds]
        asked = [(self._criterion(name), self._confirm_seconds(slot, name)) for slot, name in due]
        fresh = []
        for key, (criterion, at), answer in zip(due, asked, self._answers(asked), strict=True):
            second = measure(criterion, answer, at, self._fleet_size)
            fresh.append(confirm(self._pending[key], second))
        self._keep(fresh)
        for key in due:
            del self._pending[key]

    def _answers(
        self, asked: Sequence[tuple[Criterion, float]], *, again: bool = False
    ) -> list[Answer]:
        def ask(one: tuple[Criterion, float]) -> Answer:
            return self._source.answer(one[0], self._query_unix(one[1]), again=again)

        return _at_once(ask, asked)

    def _query_unix(self, seconds: float) -> float:
        return self._started_unix - self._gate.evaluation_delay_seconds + seconds

    def _keep(self, fresh: Sequence[Measurement]) -> None:
        """Remember what stands: where another judge was first, that is not what we measured."""
        if not fresh:
            return
        step, run = self._step_name, self._run
        for measurement in self._journal.record(self._migration_id, step, fresh, run=run):
            self._remember(measurement)

    def _remember(self, measurement: Measurement) -> None:
        slot = slot_of(self._gate, measurement.tick_seconds)
        self._known.setdefault(slot, {}).setdefault(measurement.criterion, measurement)

    def _judged(self, until_slot: int) -> Verdict:
        """Judge tick by tick; what every criterion has measured is taken for good."""
        verdict = Verdict(decision=Decision.RUNNING, at_seconds=self._tick_seconds(until_slot))
        ahead: Judge | None = None
        for slot in range(self._first_open, until_slot + 1):
            complete = not self._unasked(slot) and not self._waiting(slot)
            if not complete and ahead is None:
                ahead = self._closed.fork()
            if ahead is None:
                self._first_open = slot + 1
            pending = any(earlier <= slot for earlier, _ in self._pending)
            gaps = any(self._unasked(one) for one in range(self._first_open, slot + 1))
            measured = tuple(self._known.get(slot, {}).values())
            if measured or slot == until_slot:
                judge = ahead or self._closed
                verdict = judge.add(self._tick_seconds(slot), measured, pending=pending, gaps=gaps)
            if verdict.final:
                break
        return verdict

    def _criterion(self, name: str) -> Criterion:
        return next(criterion for criterion in self._gate.criteria if criterion.name == name)

    def _tick_seconds(self, slot: int) -> float:
        return slot * self._gate.interval_seconds

    def _confirm_seconds(self, slot: int, name: str) -> float:
        return self._tick_seconds(slot) + self._criterion(name).confirm_interval_seconds


def _at_once[Q, A](ask: Callable[[Q], A], questions: Sequence[Q]) -> list[A]:
    """The answers to all questions, asked side by side."""
    if not questions:
        return []
    with ThreadPoolExecutor(max_workers=min(PARALLEL_QUERIES, len(questions))) as pool:
        return list(pool.map(ask, questions))


def _silent(answers: Sequence[Answer]) -> bool:
    """Whether there are answers, and every one is an error."""
    return bool(answers) and all(answer.error for answer in answers)


def _broken(answer: Answer) -> bool:
    return answer.error is not None or answer.baseline_error is not None
