"""Why a DAG run takes the fleet back, and in whose name: what is said of it everywhere after."""

from collections.abc import Sequence

from feed_migration.gates.record import explain
from feed_migration.phases import MigrationState


def cause(state: MigrationState, steps: Sequence[str] = (), failed: Sequence[str] = ()) -> str:
    """Return why the fleet goes back, in one line.

    `steps` are those of the DAG run (none: all of the migration), `failed` the ids of its tasks
    that failed.
    """
    if state.reason:
        return state.reason
    if state.denial is not None:
        return state.denial.text
    verdict = state.last_verdict
    if verdict is not None and verdict.get("decision") != "Promote":
        return f"gate {verdict['step']}: {explain(dict(verdict))}"
    names = tuple(steps) or tuple(str(facts.get("name")) for facts in state.steps)
    ended = f"the DAG run ended before {_reached(state, names)} had its Promote"
    return _failed(names, failed) or ended


def responsible(state: MigrationState, actor: str) -> str:
    """Return in whose name the fleet goes back: who said No, else `actor`.

    The same on every try, so that none of them waits for another as for somebody else.
    """
    denial = state.denial
    if denial is None or state.reason not in {"", denial.text}:
        return actor
    return denial.person or actor


def _failed(steps: Sequence[str], failed: Sequence[str]) -> str:
    """Return which step failed in which of its tasks, "" where none of a step did."""
    for step in steps:
        group = f"{step.replace('-', '_')}."
        tasks = [task.removeprefix(group) for task in failed if task.startswith(group)]
        if tasks:
            return f"{step} ended without its Promote, failed in Airflow: {', '.join(tasks)}"
    return ""


def _reached(state: MigrationState, steps: Sequence[str]) -> str:
    """Return the step that the run came to: what is promoted did not end it."""
    if state.step and state.step not in state.promoted:
        return state.step
    return next((name for name in steps if name not in state.promoted), "its last step")
