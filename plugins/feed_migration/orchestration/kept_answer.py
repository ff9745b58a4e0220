"""The answer to a question that Airflow keeps, although the task that asked never got it.

A person who answers in the seconds in which a task is being parked may see it asked again: the
executor's word that the first process is over meets a task that is queued already, which Airflow
takes for a failure. The next attempt is a new question to Airflow, and its answer is thrown away.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowRuntimeError
from airflow.sdk.execution_time.hitl import get_hitl_detail_content_detail

if TYPE_CHECKING:
    from collections.abc import Iterable

    from feed_migration.events import Event


def kept_answer(ti_id: Any) -> dict[str, Any] | None:
    """Return what Airflow would have resumed a task instance with; None if nobody has answered.

    https://airflow.apache.org/docs/apache-airflow-providers-standard/stable/operators/hitl.html
    """
    try:
        detail = get_hitl_detail_content_detail(ti_id=ti_id)
    except AirflowRuntimeError:
        # the task died before its question reached Airflow
        return None
    if not detail.response_received or not detail.chosen_options:
        return None
    user = detail.responded_by_user
    return {
        "chosen_options": list(detail.chosen_options),
        "params_input": detail.params_input or {},
        "responded_at": detail.responded_at,
        "responded_by_user": {"id": user.id, "name": user.name} if user else None,
    }


def answered_at(answer: Mapping[str, Any]) -> str:
    """Return when it was given, by Airflow's clock: no two answers to a step have it in common."""
    return str(answer["responded_at"].isoformat())


def is_recorded(answer: Mapping[str, Any], step: str, approvals: "Iterable[Event]") -> bool:
    """Tell whether the journal has it: then the task was cleared by hand, and asks once more."""
    return any(
        event.body.get("step") == step and event.body.get("answered_at") == answered_at(answer)
        for event in approvals
    )
