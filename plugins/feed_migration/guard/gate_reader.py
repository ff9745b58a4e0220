"""Reads a gate's measurements beside the guard's loop, for whoever wants to see why it waits."""

import logging
import math
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace

from feed_migration.guard.knowledge import Known
from feed_migration.guard.sight import GateView
from feed_migration.journal.store import Journal
from feed_migration.model import Measurement, Step

READ_SECONDS = 2.0
LOG = logging.getLogger(__name__)


class GateReader:
    """Keeps `view`: the gate that is open, or the last one that was; None before any.

    Only what is new is read, in a thread of its own: a database that hangs holds up no round.
    """

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="gate")
        self._reading: Future[GateView] | None = None
        self._read_at = -math.inf
        self._migration_id = ""
        self._is_over = True
        self._complained = False
        self.view: GateView | None = None

    def look(self, known: Known, step: Step | None, journal: Journal | None) -> None:
        """Have the gate of `known` read, if that is due; `step` is the one of the plan, if any."""
        self._follow(known, step)
        if self.view is None or journal is None or not self._take() or self._is_over:
            return
        now = self._monotonic()
        closed = known.gate_started_unix is None
        if closed or now - self._read_at >= READ_SECONDS:
            # once more after the verdict: the last tick is the one that explains it
            self._read_at, self._is_over = now, closed
            self._reading = self._thread.submit(read_on, self.view, self._migration_id, journal)

    def close(self) -> None:
        """Let go of the thread; a query that hangs ends with the process."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _follow(self, known: Known, step: Step | None) -> None:
        if known.gate_started_unix is None:
            return
        view = self.view
        here = (known.migration_id, known.step, known.run)
        if view is None or here != (self._migration_id, view.step, view.run):
            self._migration_id, self._is_over = known.migration_id, False
            self._reading, self._read_at = None, -math.inf
            view = GateView(step=known.step, run=known.run, started_unix=known.gate_started_unix)
        gate = step.gate if step is not None and step.name == known.step else None
        self.view = replace(view, gate=gate or view.gate)

    def _take(self) -> bool:
        """Take what was read; whether the thread is free."""
        if self._reading is None:
            return True
        if not self._reading.done():
            return False
        done, self._reading = self._reading, None
        try:
            read = done.result()
        except Exception as error:  # noqa: BLE001 - nothing that guards anything depends on it
            if not self._complained:
                LOG.warning("measurements cannot be read: %s", error)
            self._complained = True
            return True
        self._complained = False
        if self.view is not None:
            self.view = replace(read, gate=self.view.gate)
        return True


def read_on(view: GateView, migration_id: str, journal: Journal) -> GateView:
    """Return `view` with what was measured since; raises `JournalUnavailable`."""
    since = max((one.tick_seconds for one in view.latest.values()), default=-math.inf)
    rows = journal.measurements(migration_id, view.step, view.run, since_seconds=since)
    return added(view, rows)


def added(view: GateView, measurements: Iterable[Measurement]) -> GateView:
    """Return `view` with `measurements`, which are in the order of their ticks.

    The last tick may be among them again, now with criteria that were not written yet: each
    criterion counts once per tick.
    """
    latest, ticks, last = dict(view.latest), dict(view.ticks), view.last_tick_unix
    for one in measurements:
        before = latest.get(one.criterion)
        if before is not None and one.tick_seconds <= before.tick_seconds:
            continue
        latest[one.criterion] = one
        key = (one.criterion, one.outcome)
        ticks[key] = ticks.get(key, 0) + 1
        last = max(last or 0.0, view.started_unix + one.tick_seconds)
    return replace(view, latest=latest, ticks=ticks, last_tick_unix=last)
