"""Blindness that no measurement tells of: a gate whose clock does not bring its next tick.

Gates tick by the clock of Prometheus. Where that is set back by an hour, or its `time()` stands
still, nothing is asked, so nothing fails either; only a clock that nobody sets can tell.
"""

from feed_migration.gates.record import first_tick_unix, latest_first_tick_unix
from feed_migration.model import Decision, Gate, Reason, Verdict

STOOD_STILL = "the clock of Prometheus was set back or stands still"


class Standstill:
    """Counts how long the next tick of one run of a gate is late, by a monotonic clock."""

    def __init__(self) -> None:
        self._newest: float | None = None
        self._due_at: float | None = None

    def verdict(
        self,
        gate: Gate,
        newest: float | None,
        now_monotonic: float,
        *,
        first_in: float = 0.0,
        why: str = STOOD_STILL,
    ) -> Verdict:
        """Return `on_blind` once the tick after `newest` is later than `blind_limit`, else Running.

        `newest` is the last tick that was asked, in seconds of the gate; None before the first, or
        where it is not known. `now_monotonic` was read before the clock that `newest` came by: of a
        process that was stopped in between, no time counts. `first_in` is how far away the first
        tick is by the clock of Prometheus, which may be off, `why` what is known of the reason.
        """
        if self._due_at is None or newest not in {None, self._newest}:
            self._newest = newest
            wait = _first_wait(gate, first_in) if newest is None else gate.interval_seconds
            self._due_at = now_monotonic + wait
        late = now_monotonic - self._due_at
        seconds = 0.0 if self._newest is None else self._newest + gate.interval_seconds
        at_seconds = seconds + max(0.0, late)
        if late <= gate.blind_limit_seconds:
            return Verdict(decision=Decision.RUNNING, at_seconds=at_seconds)
        text = f"no tick for {late:g} s, limit {gate.blind_limit_seconds:g} s: {why}"
        reasons = (Reason(criterion="gate", text=text),)
        return Verdict(decision=gate.on_blind, at_seconds=at_seconds, reasons=reasons)


def _first_wait(gate: Gate, first_in: float) -> float:
    """What is believed of how far away the first tick is."""
    return max(first_tick_unix(gate, 0.0), min(first_in, latest_first_tick_unix(gate, 0.0)))
