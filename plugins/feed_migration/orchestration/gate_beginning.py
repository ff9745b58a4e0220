"""How a gate begins: its first tick is by the clock of Prometheus, for which its task may wait.

A gate that is to begin while Prometheus does not answer is blind as any other is: its lease is kept
for `blind_limit`, and what follows is `on_blind`. No other clock stands in, see `prometheus.clock`.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from feed_migration.errors import ClockSilent
from feed_migration.gates.record import (
    GateStart,
    Standing,
    begun_gate,
    first_tick_unix,
    join_gate,
    record_verdict,
)
from feed_migration.lease import Lease
from feed_migration.model import Gate, Reason, Verdict
from feed_migration.phases import Status

if TYPE_CHECKING:
    from feed_migration.journal.store import Journal

LOOK_SECONDS = 1.0
LOG = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Beginning:
    """The beginning of a gate of `step`; `clock` is that of Prometheus, and raises ClockSilent.

    `seen` is where the step was when it was found that the gate may begin.
    """

    journal: "Journal"
    migration_id: str
    step: str
    gate: Gate
    clock: Callable[[], float]
    seen: Standing
    monotonic: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep

    def join(self, key: str, actor: str) -> GateStart:
        """Return the run of this attempt, beginning it in the journal if it is new.

        Where the time stays unknown for longer than `blind_limit`, the run begins and ends at once:
        its verdict is in the journal. Raises MigrationNotRunning where the step has gone on since.
        """
        begun = begun_gate(self.journal, self.migration_id, self.step, key)
        if begun is not None:
            return begun
        first_unix, blind_seconds = self._awaited()
        start = join_gate(
            self.journal,
            migration_id=self.migration_id,
            step=self.step,
            key=key,
            actor=actor,
            started_unix=first_unix,
            seen=self.seen,
        )
        if blind_seconds > self.gate.blind_limit_seconds:
            record_verdict(self.journal, start, self._blind(blind_seconds))
        return start

    def _awaited(self) -> tuple[float, float]:
        """Return when the first tick is, and for how long nobody could tell.

        A migration that is over waits for nothing: its gate begins to be ended as one of those.
        """
        began = self.monotonic()
        lease: Lease | None = None
        while True:
            try:
                return first_tick_unix(self.gate, self.clock()), 0.0
            except ClockSilent as error:
                blind_seconds = self.monotonic() - began
                if not self._is_under_way():
                    return error.unix, 0.0
                if blind_seconds > self.gate.blind_limit_seconds:
                    return error.unix, blind_seconds
                lease = self._kept(lease, error)
            self.sleep(LOOK_SECONDS)

    def _is_under_way(self) -> bool:
        status = self.journal.state(self.migration_id).status
        return status in {Status.RUNNING, Status.HELD}

    def _kept(self, lease: Lease | None, error: ClockSilent) -> Lease:
        """Renew the lease as a gate at work does; it is compared by the monotonic clock alone."""
        now = self.monotonic()
        if lease is not None and not lease.is_due(now):
            return lease
        LOG.warning("gate %s is yet to begin: %s", self.step, error)
        renewed = self.journal.renew_lease(
            self.migration_id, holder=f"gate {self.step}", seconds=self.gate.lease_seconds
        )
        return replace(renewed, renewed_at=now)

    def _blind(self, blind_seconds: float) -> Verdict:
        limit = self.gate.blind_limit_seconds
        silent = f"Prometheus has not said what time it is for {blind_seconds:.0f} s"
        reason = Reason(criterion="gate", text=f"{silent}, limit {limit:g} s: nothing was asked")
        return Verdict(decision=self.gate.on_blind, at_seconds=0.0, reasons=(reason,))
