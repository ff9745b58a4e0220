"""A migration that is half-way, and the tasks that take it back, each by itself."""

from collections.abc import Sequence
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.airflow.conftest import Stage

STEP = "cutover-50"


def context_of(migration_id: str, *, excused: Sequence[str] = (), **tasks: str) -> dict[str, Any]:
    """The context of a task on its first of six tries; `tasks` is task → state of the run.

    Those of `excused` have said that they failed for want of the journal; `said` is what this one
    says.
    """
    said: dict[str, str] = {}

    def pull(task_ids: str, key: str = "return_value") -> str | None:
        if key == "return_value":
            return migration_id
        return "away" if task_ids in excused else None

    return {
        "said": said,
        "ti": SimpleNamespace(
            xcom_pull=pull,
            xcom_push=said.__setitem__,
            get_task_states=lambda dag_id, run_ids: {run_ids[0]: tasks},
            try_number=1,
            max_tries=5,
        ),
        "dag_run": SimpleNamespace(
            dag_id="m", run_id="1", clear_number=0, triggering_user_name="ann"
        ),
        "params": {"reason": "by hand"},
    }


def reverting(place) -> Any:
    from feed_migration.orchestration.rollback_operators import RevertOperator

    steps = ("dry_run", "shadow", STEP, "cutover-100", "stabilisation", "post_migration")
    return RevertOperator(task_id="revert", place=place, steps=steps)


def taking_back(place) -> Any:
    from feed_migration.orchestration.rollback_operators import TakeBackOperator

    return TakeBackOperator(task_id="revert", place=place)


def gate_of(place, step: str = STEP) -> Any:
    from feed_migration.orchestration.gate_operator import GateOperator

    gate = place.plan().step(step).gate
    return GateOperator(task_id="gate", place=place, step=step, gate=gate)


def fails_for_good() -> Any:
    from airflow.sdk.exceptions import AirflowFailException

    return pytest.raises(AirflowFailException)


def hold(stage: "Stage", migration_id: str) -> None:
    body = {"step": STEP, "reason": "no data"}
    stage.journal.append("held", migration_id=migration_id, actor="ann", body=body)


def confirm_half(stage: "Stage", migration_id: str) -> None:
    """Let the journal have that half of the fleet was moved, which its gate waits for."""
    names, epoch = list(stage.natives), stage.journal.state(migration_id).epoch
    act = {"act": "set_variant", "variant": "native", "step": STEP, "epoch": epoch}
    for kind in ("act_intended", "act_confirmed"):
        body = {**act, "instances": names}
        stage.journal.append(kind, body=body, migration_id=migration_id, actor="ann")


def pass_half(stage: "Stage", migration_id: str) -> None:
    """Promote the step whose half of the fleet is on native."""
    who = {"migration_id": migration_id, "actor": "ann"}
    body = {"step": STEP, "decision": "Promote", "reason": "t"}
    stage.journal.append("approval", body=body, **who)
    stage.journal.append("step_promoted", body={"step": STEP}, **who)


def raising(error: BaseException) -> Any:
    def refuse(*_: object, **__: object) -> None:
        raise error

    return refuse
