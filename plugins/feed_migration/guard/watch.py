"""Judges exposed instances while nobody else does: an overdue gate, or where there is no gate.

Where a gate is open, the guard lets Airflow's trigger go first at every tick. What is overdue it
asks and keeps itself, in the same run of the same gate, so either of the two can go on at any
time. Where no gate is open (a person is waited for, a hold, the hand-over between two steps), the
hard criteria of the step that made the exposure stay watched, in memory only. Of either nothing but
a Rollback comes.
"""

import logging
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from feed_migration.errors import ClockUnusable, JournalUnavailable, UsageError
from feed_migration.gates.record import first_tick_unix, scrape_seconds
from feed_migration.gates.run import GateRun, Source
from feed_migration.gates.standstill import STOOD_STILL, Standstill
from feed_migration.guard.knowledge import Known
from feed_migration.journal.store import Journal
from feed_migration.model import Decision, Gate, Measurement, Severity, Verdict

# What a trigger at work may be late with a tick. One that is later, or waits for the second sample
# of a tick that failed altogether, finds it asked: nothing is lost but a query, and a breach is
# seen sooner
PATIENCE_SECONDS = 1.0
# Processes that have just been flipped, and an Airflow that has just heard of it, are let be
SETTLE_SECONDS = 30.0
# A watch without an end is begun anew, as its measurements are kept
STANDING_SECONDS = 3600.0
# More between two clocks is a step of one of them: what lies between was never, or was twice
STEP_SECONDS = 10.0
LOG = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Watched:
    """Of what: the key of a gate's run, or of the exposure as it stands."""

    migration_id: str
    step: str
    run: str
    gate_started_unix: float | None
    # an act that ends is another exposure than before it, and is let settle from then on
    acting: bool = False
    moved: tuple[str, ...] | None = None


@dataclass(frozen=True, kw_only=True)
class Breach:
    """A Rollback that the watch has come to; `gated` where it ends the run of an open gate.

    `began_monotonic` is when the tick that failed was, by the guard's own monotonic clock.
    """

    watched: Watched
    verdict: Verdict
    started_unix: float
    began_monotonic: float
    gated: bool


class TolerantLog:
    """Measurements in the journal where it answers, and in any case in memory."""

    def __init__(self, journal: Journal | None) -> None:
        self._journal = journal

    def record(
        self,
        migration_id: str,
        step: str,
        measurements: Iterable[Measurement],
        *,
        run: str = "1",
    ) -> Sequence[Measurement]:
        """Keep measurements and return those that stand; all, where the journal takes none."""
        given = tuple(measurements)
        try:
            if self._journal is not None:
                return self._journal.record(migration_id, step, given, run=run)
        except JournalUnavailable as error:
            LOG.warning("measurements are not in the journal: %s", error)
        return given

    def measurements(self, migration_id: str, step: str, run: str = "1") -> Sequence[Measurement]:
        """Return what the journal has of a run."""
        try:
            return self._journal.measurements(migration_id, step, run) if self._journal else ()
        except JournalUnavailable as error:
            LOG.warning("a watch begins without the journal's measurements: %s", error)
            return ()

    def altered(self, migration_id: str, step: str, run: str = "1") -> str:
        """Return why they are not those that were recorded, "" where they are or nobody can say."""
        try:
            return self._journal.altered(migration_id, step, run) if self._journal else ""
        except (JournalUnavailable, UsageError) as error:
            LOG.warning("a watch begins without a look at the measurements' seals: %s", error)
            return ""


class Watch:
    """Asks what is overdue; called from one thread, which may wait for Prometheus."""

    def __init__(
        self, source: Source, clock: Callable[[], float], monotonic: Callable[[], float]
    ) -> None:
        self._source = source
        self._clock, self._monotonic = clock, monotonic
        self._watched: Watched | None = None
        self._run: GateRun | None = None
        self._run_started_unix = 0.0
        self._own_last: float | None = None
        self._concluded = False
        self._stands_from = 0.0
        self._newest: float | None = None
        self._newest_at = 0.0
        self._standstill = Standstill()
        self._why = STOOD_STILL
        self._first_in = 0.0
        self._ahead_seconds: float | None = None
        self._unwatched = ""

    @property
    def at_work(self) -> bool:
        """Whether the guard judges now, because nobody else does."""
        return self._run is not None

    def poll(
        self, known: Known, gate: Gate, fleet_size: int, journal: Journal | None
    ) -> Breach | None:
        """Ask and judge what is due and nobody else has asked; `journal` None where it is away."""
        self._look_at(known)
        gated = known.gate_started_unix is not None and not self._concluded
        if gated:
            verdict = self._gated(gate, fleet_size, known.gate_started_unix or 0.0, journal)
        else:
            verdict = self._standing(gate, fleet_size, acting=known.acting)
        if verdict is None or not verdict.final:
            return None
        if verdict.decision is not Decision.ROLLBACK:
            # a Promote or a Hold is for Airflow to say; what is exposed stays watched until then
            self._run, self._stands_from = None, self._monotonic()
            self._concluded = self._concluded or gated
            return None
        assert self._watched is not None  # noqa: S101 - set above
        return Breach(
            watched=self._watched,
            verdict=verdict,
            started_unix=self._run_started_unix,
            began_monotonic=self._began_monotonic(verdict),
            gated=gated,
        )

    def _began_monotonic(self, verdict: Verdict) -> float:
        """Return when the tick of `verdict` was, which Prometheus stamps; no later than now."""
        now = self._monotonic()
        if self._ahead_seconds is None:
            return now
        tick_unix = self._run_started_unix + verdict.at_seconds
        return min(now, tick_unix - self._ahead_seconds)

    def _look_at(self, known: Known) -> None:
        watched = Watched(
            migration_id=known.migration_id,
            step=known.step,
            run=known.run,
            gate_started_unix=known.gate_started_unix,
            acting=known.acting,
            moved=known.moved,
        )
        if watched != self._watched:
            self._watched, self._run, self._concluded = watched, None, False
            self._stands_from = self._monotonic() + SETTLE_SECONDS
            self._newest, self._newest_at = None, self._monotonic()
            self._standstill = Standstill()

    def _gated(
        self, gate: Gate, fleet_size: int, started_unix: float, journal: Journal | None
    ) -> Verdict | None:
        # before anything that takes time, or a guard that was stopped would miss ticks by it
        began = self._monotonic()
        last = self._last_tick(journal)
        if journal is not None and last != self._newest:
            self._newest, self._newest_at = last, self._monotonic()
        if self._run is not None and journal is not None and last != self._own_last:
            # somebody else has asked meanwhile
            self._run = None
        if self._run is None:
            if not self._is_overdue(gate):
                return None
            LOG.warning("nobody asks the gate, the guard does")
            self._begin(gate, fleet_size, started_unix, TolerantLog(journal))
        verdict = self._tick()
        self._own_last = self._last_tick(journal)
        if verdict is not None and verdict.final:
            return verdict
        newest = self._run.newest_seconds if self._run is not None else None
        return self._standstill.verdict(gate, newest, began, first_in=self._first_in, why=self._why)

    def _standing(self, gate: Gate, fleet_size: int, *, acting: bool) -> Verdict | None:
        standing = standing_gate(gate)
        if standing is None or acting or self._monotonic() < self._stands_from:
            return None
        # in this order: the first may wait for Prometheus
        try:
            unix, now = self._clock(), self._monotonic()
        except ClockUnusable as error:
            self._stands_unwatched(str(error))
            return None
        self._unwatched = ""
        age_seconds = now - self._stands_from
        stepped = abs(unix - self._run_started_unix - age_seconds) > STEP_SECONDS
        if self._run is None or stepped or age_seconds > STANDING_SECONDS:
            self._stands_from = now
            self._begin(standing, fleet_size, unix, TolerantLog(None))
        return self._tick()

    def _stands_unwatched(self, why: str) -> None:
        """Say it once: it is found out twice a second."""
        if why != self._unwatched:
            LOG.warning("the exposure is not watched: %s", why)
        self._unwatched = why

    def _begin(self, gate: Gate, fleet_size: int, started_unix: float, log: TolerantLog) -> None:
        assert self._watched is not None  # noqa: S101 - `poll` has set it
        self._run_started_unix = started_unix
        self._run = GateRun(
            gate=gate,
            step_name=self._watched.step,
            migration_id=self._watched.migration_id,
            started_unix=started_unix,
            fleet_size=fleet_size,
            source=self._source,
            journal=log,
            run=self._watched.run,
        )

    def _tick(self) -> Verdict | None:
        try:
            now = self._clock()
        except ClockUnusable as error:
            self._why = str(error)
            return None
        self._ahead_seconds = now - self._monotonic()
        self._why, self._first_in = STOOD_STILL, self._run_started_unix - now
        if self._run is None or self._run.next_due_unix() > now:
            return None
        return self._run.tick(now)

    def _is_overdue(self, gate: Gate) -> bool:
        """Whether the next tick stays away, by our own monotonic clock since we saw the last one.

        When it is due is told by the clock of another host, which need not agree with any of ours.
        """
        due = gate.interval_seconds
        if self._newest is None:
            # a trigger has yet to be started, and scheduled, before its first tick
            due = first_tick_unix(gate, 0.0) + scrape_seconds(gate)
        return self._monotonic() - self._newest_at > due + PATIENCE_SECONDS

    def _last_tick(self, journal: Journal | None) -> float | None:
        if journal is None or self._watched is None:
            return self._own_last
        watched = self._watched
        return journal.last_tick_seconds(watched.migration_id, watched.step, watched.run)


def standing_gate(gate: Gate) -> Gate | None:
    """Return the gate that watches an exposure without an end, None where nothing is hard.

    It never promotes and never times out, and being blind proves nothing to it.
    """
    hard = tuple(one for one in gate.criteria if one.severity is Severity.HARD)
    if not hard:
        return None
    return replace(
        gate,
        criteria=hard,
        min_duration_seconds=math.inf,
        max_duration_seconds=math.inf,
        on_blind=Decision.HOLD,
    )
