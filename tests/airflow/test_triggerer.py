"""A question's wait in Airflow's own triggerer, with Airflow's database and channel behind it."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any
from uuid import UUID

import pytest

from feed_migration.orchestration import runtime as runtimes
from feed_migration.orchestration.place import Place
from feed_migration.orchestration.question_trigger import QuestionTrigger
from tests.airflow.conftest import REPOSITORY, Stage
from tests.support.conditions import eventually_sync

pytestmark = pytest.mark.timeout(180)
DAG_ID, TASK_ID = "backpack_post_migration", "post_migration.report"
PATIENCE_SECONDS = 80.0


@pytest.fixture
def deferred(stage: Stage, place: Place, context) -> Iterator[Callable[[], dict[str, Any]]]:
    """A task that waits by a question's trigger; call it for how it stands."""
    import sqlalchemy as sa
    from airflow.models.taskinstance import TaskInstance
    from airflow.models.trigger import Trigger
    from airflow.utils.session import create_session

    ti_id = _task_of_a_run()
    trigger = QuestionTrigger(
        place=place,
        migration_id=context["ti"].xcom_pull(task_ids="begin"),
        ti_id=str(ti_id),
        until_unix=4_000_000_000.0,
        settle_seconds=0.0,
    )
    with create_session(scoped=False) as session:
        row = Trigger.from_object(trigger)
        session.add(row)
        session.flush()
        task = session.get(TaskInstance, ti_id)
        trigger_id = row.id
        task.state, task.trigger_id, task.next_method = "deferred", trigger_id, "execute_complete"

    def now() -> dict[str, Any]:
        wanted = sa.select(TaskInstance.state, TaskInstance.next_kwargs).filter_by(id=ti_id)
        taken = sa.select(Trigger.triggerer_id).filter_by(id=trigger_id)
        with create_session(scoped=False) as session:
            state, kwargs = session.execute(wanted).one()
            by = session.scalar(taken)
        event = (kwargs or {}).get("event")
        return {"ti_id": ti_id, "state": state, "event": event, "triggerer": by}

    yield now
    # a run that seems to go on would be one too many for a test behind this one
    with create_session(scoped=False) as session:
        session.delete(session.get(TaskInstance, ti_id).dag_run)


def _task_of_a_run() -> UUID:
    from airflow.dag_processing.dagbag import DagBag, sync_bag_to_db
    from airflow.models.dagbundle import DagBundleModel
    from airflow.models.serialized_dag import SerializedDagModel
    from airflow.sdk import timezone
    from airflow.utils.session import create_session
    from airflow.utils.state import DagRunState
    from airflow.utils.types import DagRunTriggeredByType, DagRunType

    with create_session(scoped=False) as session:
        session.merge(DagBundleModel(name="tests"))
    sync_bag_to_db(DagBag(REPOSITORY / "dags" / f"{DAG_ID}.py"), "tests", None)
    with create_session(scoped=False) as session:
        dag = SerializedDagModel.get(DAG_ID, session=session).dag
        run = dag.create_dagrun(
            run_id=f"manual__{timezone.utcnow().isoformat()}",
            run_after=timezone.utcnow(),
            run_type=DagRunType.MANUAL,
            triggered_by=DagRunTriggeredByType.TEST,
            state=DagRunState.RUNNING,
            session=session,
        )
        return UUID(str(run.get_task_instance(TASK_ID, session=session).id))


@pytest.fixture(scope="module")
def triggerer(airflow_database, tmp_path_factory) -> Iterator[None]:
    """Airflow's triggerer on the database of the tests, for as long as they run."""
    log = tmp_path_factory.mktemp("triggerer") / "log"
    command = (sys.executable, "-m", "airflow", "triggerer", "--skip-serve-logs")
    with log.open("w") as out:
        process = subprocess.Popen(command, stdout=out, stderr=out, start_new_session=True)
    yield
    process.terminate()
    try:
        process.wait(PATIENCE_SECONDS)
    finally:
        # its process for triggers, if that is left
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(PATIENCE_SECONDS)


def ask(ti_id: UUID, option: str = "") -> None:
    """Keep a question of the task in Airflow, answered with `option` if that is given."""
    from airflow.models.hitl import HITLDetail
    from airflow.sdk import timezone
    from airflow.utils.session import create_session

    question = HITLDetail(ti_id=ti_id, options=["Approve", "Reject"], subject="Start?")
    if option:
        question.chosen_options, question.params_input = [option], {"reason": "seen"}
        question.responded_at = timezone.utcnow()
        question.responded_by = {"id": "7", "name": "ann"}
    with create_session(scoped=False) as session:
        session.add(question)


def ended(deferred: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Wait until the task is resumed; return the event, as Airflow keeps it."""
    from airflow.sdk.serde import deserialize

    def resumed() -> Any:
        now = deferred()
        return now["state"] == "scheduled" and now["event"]

    event = eventually_sync(resumed, PATIENCE_SECONDS)
    return dict(deserialize(event) if "__classname__" in event else event)


@pytest.mark.usefixtures("triggerer")
def test_an_answer_that_reached_no_task_is_read_by_the_triggerer(deferred):
    """Airflow gives it to a triggerer alone."""
    ask(deferred()["ti_id"], "Approve")
    event = ended(deferred)
    assert event["chosen_options"] == ["Approve"]
    assert event["responded_by_user"] == {"id": "7", "name": "ann"}
    assert event["params_input"] == {"reason": "seen"}


@pytest.mark.usefixtures("triggerer")
def test_a_way_back_resumes_the_task_that_asks(stage: Stage, place: Place, context, deferred):
    """It is begun in another process, of which Airflow hears nothing."""
    ask(deferred()["ti_id"])
    eventually_sync(lambda: deferred()["triggerer"], PATIENCE_SECONDS)
    assert deferred()["state"] == "deferred"
    migration_id = context["ti"].xcom_pull(task_ids="begin")
    runtimes.revert(place, stage.journal, migration_id, "bob", "odd")
    event = ended(deferred)
    assert event["error_type"] == "over"
    # it looks every two seconds, and the way back may still be on its way
    assert event["error"] in {f"the migration is roll{how} back: odd" for how in ("ing", "ed")}
