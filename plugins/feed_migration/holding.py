"""Hold by hand: a person ends the open run of a gate, and the exposure stays as it is.

The run ends with a Hold under the person's name, which the gate's trigger finds at its next look,
a second later at most, and its task then fails as after a Hold of its own. A later run of the same
gate ends the hold. Until then the guard watches the hard criteria, and a Rollback outranks a Hold.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from feed_migration import phases
from feed_migration.errors import NothingToHold
from feed_migration.events import Event, EventKind
from feed_migration.gates.record import GateStart, newest_run, standing_verdict, verdict_body
from feed_migration.journal.store import Journal
from feed_migration.lease import HANDOVER_SECONDS, Lease, person_asked
from feed_migration.markdown import utc
from feed_migration.model import Decision, Reason, Verdict
from feed_migration.phases import MigrationState, Status

HOLD = "hold"
MAX_REASON = 2000


def hold(journal: Journal, migration_id: str, *, actor: str, reason: str, at_unix: float) -> str:
    """End the open run of the current step's gate with a Hold; return the step.

    `at_unix` is now, in unix seconds. Verdict and hold are one transaction behind the state they
    follow from, so a run that has a verdict is not held, and one that is held does not promote.
    Raises NothingToHold (a Refused) with what to do, and `JournalUnavailable`.
    """
    lease = journal.lease(migration_id)
    text = held_by(actor, reason)

    def choose(events: Sequence[Event]) -> list[tuple[EventKind, Mapping[str, Any]]]:
        start = _open_run(events, lease)
        verdict = Verdict(
            decision=Decision.HOLD,
            at_seconds=max(0.0, at_unix - start.started_unix),
            reasons=(Reason(criterion=HOLD, text=text),),
        )
        return [
            (EventKind.VERDICT, verdict_body(start, verdict)),
            (EventKind.HELD, {"step": start.step, "reason": text}),
        ]

    return str(journal.append_chosen(migration_id, actor, choose)[-1].body["step"])


def hold_between(journal: Journal, migration_id: str, *, actor: str, reason: str) -> None:
    """Hold where no gate is open, at the step of `stays_at`; write nothing where there is none."""

    def choose(events: Sequence[Event]) -> list[tuple[EventKind, Mapping[str, Any]]]:
        step = stays_at(phases.fold(events))
        return [(EventKind.HELD, {"step": step, "reason": reason})] if step else []

    journal.append_chosen(migration_id, actor, choose)


def stays_at(state: MigrationState) -> str:
    """Return the step at which the fleet can stay without an open gate, "" where it cannot.

    The one at hand, or else the newest, whose act is confirmed and whose gate can begin anew. Half
    an act is nothing to stay at, and the guard lets it be; nor is what was said No to, or breached.
    """
    if state.status is not Status.RUNNING or state.pending_act or state.denial or _breached(state):
        return ""
    made = [str(facts.get("name")) for facts in state.steps if _is_made(state, facts)]
    return state.step if state.step in made else next(reversed(made), "")


def _is_made(state: MigrationState, facts: Mapping[str, Any]) -> bool:
    name, phase = facts.get("name"), facts.get("phase")
    if not facts.get("gated"):
        return False
    if phase == "shadow":
        # behind its promotion its instances are stopped
        return name in state.moved and name not in state.promoted
    return name in state.moved if phase == "cutover" else name in dict(state.runs)


def _breached(state: MigrationState) -> bool:
    verdict = state.last_verdict or {}
    return verdict.get("decision") == Decision.ROLLBACK and verdict.get("step") not in state.proven


def held_by(actor: str, reason: str) -> str:
    """Return a hold's reason in one line: who, and why as far as that was said."""
    # control characters would move the cursor of everybody who reads it
    readable = "".join(c if c.isprintable() else " " for c in reason)
    said = " ".join(readable.split())[:MAX_REASON]
    return f"held by {actor}: {said}" if said else f"held by {actor}"


@dataclass(frozen=True, kw_only=True)
class PendingApproval:
    """A person is asked whether `step` may begin; no answer by `until_unix` is a No."""

    step: str
    until_unix: float


def pending_approval(state: MigrationState, lease: Lease | None) -> PendingApproval | None:
    """Return the approval that the migration waits for, None where it waits for none.

    The task that asks renews the lease for as long as the person may take, and a hand-over more;
    the answer, whichever, renews it for the hand-over alone.
    """
    if lease is None or state.status is not Status.RUNNING:
        return None
    step = person_asked(lease)
    if step in {"", *state.approved, *state.promoted}:
        return None
    return PendingApproval(step=step, until_unix=lease.expires_at - HANDOVER_SECONDS)


def _open_run(events: Sequence[Event], lease: Lease | None) -> GateStart:
    """Return the run that can be held; raises NothingToHold with the reason why none can."""
    state = phases.fold(events)
    _require_running(state)
    step = state.step or ""
    start = newest_run(events, step)
    if start is not None and start.run == dict(state.runs).get(step):
        verdict = standing_verdict(events, start)
        if verdict is None:
            return start
        _require_undecided(step, verdict)
    raise _between_gates(state, lease)


def _require_running(state: MigrationState) -> None:
    if state.status is Status.HELD:
        raise NothingToHold(
            f"{state.held_step or state.step} is held already: {state.reason or 'no reason given'}",
            "go on with `backpack-migrate resume`, or back with `backpack-migrate rollback`",
        )
    if state.status is not Status.RUNNING:
        why = str(state.status).replace("_", " ")
        raise NothingToHold(
            f"the migration is {why}: nothing goes on that could be held",
            "see `backpack-migrate status`",
        )


def _require_undecided(step: str, verdict: Mapping[str, Any]) -> None:
    """Raise where what the run has come to leaves nothing that a hold could stop."""
    if verdict["decision"] == Decision.ROLLBACK:
        raise NothingToHold(
            f"the gate of {step} said Rollback, the fleet goes back to ccxt",
            "follow it with `backpack-migrate status --watch`",
        )
    if verdict["decision"] == Decision.HOLD:
        raise NothingToHold(
            f"the gate of {step} has just held by itself",
            "see why with `backpack-migrate status`",
        )


def _between_gates(state: MigrationState, lease: Lease | None) -> NothingToHold:
    """Say what the migration is about instead of a gate."""
    if (approval := pending_approval(state, lease)) is not None:
        return NothingToHold(
            f"{approval.step} waits for an approval, nothing goes on without it",
            f"leave it unanswered until {utc(approval.until_unix)}; then, or with a No before, "
            "the fleet goes back",
        )
    act = state.pending_act
    if act is not None:
        return NothingToHold(
            f"{act.get('act', 'an act')} of {act.get('step') or state.step} is under way, "
            "and half an act is nothing to stay at",
            "hold the gate that begins after it, or take it back with `backpack-migrate rollback`",
            passing=True,
        )
    return NothingToHold(
        f"no gate is open, {_whereabouts(state)}",
        "hold the next gate once it begins, or take it back with `backpack-migrate rollback`",
        passing=True,
    )


def _whereabouts(state: MigrationState) -> str:
    if state.step is None:
        return "no step has begun"
    if state.step in state.promoted or state.step in state.proven:
        return f"{state.step} is proven"
    return f"{state.step} has not come to it"
