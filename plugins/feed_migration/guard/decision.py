"""What the guard does next. Pure: knowledge and ages of things go in, one act comes out."""

from dataclasses import dataclass
from enum import StrEnum

from feed_migration.guard.knowledge import Known
from feed_migration.lease import UNKNOWN_SECONDS
from feed_migration.model import Decision, Gate
from feed_migration.phases import Status
from feed_migration.take_back import JOIN_SECONDS
from feed_migration.words import listed

# As many instances are named in a reason; a fleet may have a thousand
NAMED = 5


class Act(StrEnum):
    """REST: nothing may be exposed. WATCH: something is. REVERT: it goes back, now."""

    REST = "rest"
    WATCH = "watch"
    REVERT = "revert"


@dataclass(frozen=True, kw_only=True)
class Clocks:
    """Ages in seconds, all by a monotonic clock.

    `lease_left` runs down while nobody renews; `journal_silent` is how long the journal has not
    answered, 0 while it does; `rollback_silent` how long nobody has said anything of a rollback.
    """

    lease_left: float
    journal_silent: float = 0.0
    rollback_silent: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Next:
    """An act, and for a revert its reason."""

    act: Act
    reason: str = ""


REST = Next(act=Act.REST)
WATCH = Next(act=Act.WATCH)


def decide(
    known: Known | None, clocks: Clocks, gate: Gate | None, actor: str, *, breach: str = ""
) -> Next:
    """Return what to do. `gate` is that of the current step, where the plan is at hand.

    `breach` is what the guard's own watch has found. A migration that is over is left alone, but
    for one that was taken back and of which the journal has heard an exposure since.
    """
    if known is None:
        return REST
    if known.status is Status.ROLLING_BACK:
        return _unfinished(known, clocks, actor)
    if known.status is Status.ROLLED_BACK and known.exposed:
        named = listed(known.exposed, NAMED)
        return Next(act=Act.REVERT, reason=f"exposed after the rollback was verified: {named}")
    if known.status not in {Status.RUNNING, Status.HELD}:
        return REST
    if reason := known.breach or breach or _unwatched(known, clocks, gate):
        return Next(act=Act.REVERT, reason=reason)
    return WATCH if known.exposed else REST


def _unfinished(known: Known, clocks: Clocks, actor: str) -> Next:
    """A rollback that has begun: joined once its actor has fallen silent, or is the guard."""
    if known.rollback_actor == actor or clocks.rollback_silent > JOIN_SECONDS:
        return Next(act=Act.REVERT, reason=f"the rollback of {known.rollback_actor} goes on")
    return REST


def _unwatched(known: Known, clocks: Clocks, gate: Gate | None) -> str:
    """Return why the exposure counts as unwatched, "" where it does not.

    A hold keeps the exposure: a person was told. So does the proof of every step: a report that
    nobody writes is no reason to move a proven fleet. While the journal is silent nobody could
    renew where the guard would see it, so the blind limit stands in for the lease.
    """
    if known.status is Status.HELD or known.proven or not known.exposed:
        return ""
    if clocks.journal_silent > 0:
        limit = gate.blind_limit_seconds if gate else _length(known)
        dangerous = gate is None or gate.on_blind is Decision.ROLLBACK
        if dangerous and clocks.journal_silent > limit:
            return f"the journal has been silent for {clocks.journal_silent:.0f} s at {known.step}"
        return ""
    if clocks.lease_left <= 0:
        holder = known.lease.holder if known.lease else "nobody"
        return (
            f"the lease of {known.step} has expired: {holder} was the last to renew it, "
            f"{_length(known) - clocks.lease_left:.0f} s ago"
        )
    return ""


def _length(known: Known) -> float:
    return known.lease.seconds if known.lease else UNKNOWN_SECONDS
