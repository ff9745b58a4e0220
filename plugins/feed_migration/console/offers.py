"""What a person may do to a migration now, and what it would bring about, in words. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any

from feed_migration.phases import MigrationState, Status
from feed_migration.words import counted, step_words

Offer = Mapping[str, Any]


def offers(
    state: MigrationState,
    waiting: Sequence[str],
    *,
    gate_key: str,
    gate_open: bool,
    run_ends: bool = False,
) -> dict[str, Offer]:
    """Return act → {possible, why_not, effect, needs_reason}, for the dialogs of the page.

    Each act may have a reason; it needs one where it stops or moves the fleet.
    `waiting` names the steps that wait for an approval; `gate_key` the DAG run of the step's gate,
    which is `gate_open` while it has no verdict; `run_ends` while that run of a hold is not over.
    """
    return {
        "approve": _approve(state, waiting),
        "reject": _reject(state, waiting),
        "hold": _hold(state, gate_open=gate_open),
        "resume": _resume(state, gate_key, run_ends=run_ends),
        "rollback": _rollback(state),
    }


def answer_effects(state: MigrationState, step: str) -> dict[str, str]:
    """Return what an answer to the question of `step` would bring about, by act."""
    asked = [step]
    return {
        "approve": str(_approve(state, asked)["effect"]),
        "reject": str(_reject(state, asked)["effect"]),
    }


def _offer(effect: str, why_not: str = "", *, needs_reason: bool = False) -> Offer:
    return {
        "possible": not why_not,
        "why_not": why_not,
        "effect": effect,
        "needs_reason": needs_reason,
    }


def _approve(state: MigrationState, waiting: Sequence[str]) -> Offer:
    step = waiting[0] if waiting else "the step"
    percent = state.step_facts(step).get("percent")
    share = f"{percent} % of the fleet goes to the native feed, and its" if percent else "Its"
    effect = f"{step_words(step)} begins. {share} gate decides afterwards."
    return _offer(effect, "" if waiting else "nothing waits for an approval")


def _reject(state: MigrationState, waiting: Sequence[str]) -> Offer:
    step = waiting[0] if waiting else "the step"
    exposed = len(state.exposed)
    going = f"go{'es' if exposed == 1 else ''} back to ccxt"
    back = f"{counted(exposed)} {going}" if exposed else "nothing moves"
    begins_not = f"{step_words(step)} does not begin"
    effect = f"{begins_not}. The DAG run ends failed, {back}, the migration is over."
    why_not = "" if waiting else "nothing waits for an approval"
    return _offer(effect, why_not, needs_reason=True)


def _hold(state: MigrationState, *, gate_open: bool) -> Offer:
    effect = (
        f"The gate of {step_words(state.step or 'the step')} ends without a promotion. "
        f"The exposure stays as it is: {counted(len(state.exposed))} may be on native. "
        "Nothing goes on until you resume; the guard still takes the fleet back on a breach."
    )
    why_not = "" if gate_open else "no gate is open now: hold the next one, or roll back"
    if state.status is not Status.RUNNING:
        why_not = f"the migration is {_told(state)}"
    return _offer(effect, why_not, needs_reason=True)


def _resume(state: MigrationState, gate_key: str, *, run_ends: bool) -> Offer:
    step = step_words(state.held_step or state.step or "the step")
    effect = (
        f"The gate of {step} and what follows it are cleared in Airflow: the step is watched anew, "
        "from the beginning. Nothing that was measured before counts."
    )
    if state.status is not Status.HELD:
        return _offer(effect, f"the migration is {_told(state)}")
    if not gate_key:
        return _offer(effect, f"{step} has no gate to clear: see its DAG run")
    return _offer(effect, "the DAG run of the hold still ends, within seconds" if run_ends else "")


def _rollback(state: MigrationState) -> Offer:
    exposed = f"{len(state.exposed)} of them may be on native now" if state.exposed else "none is"
    effect = (
        "Every instance is put back on the ccxt feed, restarted where it is not, and verified "
        f"({exposed}). The DAG backpack_rollback does it and writes the incident down. A migration "
        "under way ends as rolled back and must begin anew."
    )
    return _offer(effect, needs_reason=True)


def _told(state: MigrationState) -> str:
    return str(state.status).replace("_", " ")
