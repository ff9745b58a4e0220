"""A question waits for a person only as long as there is something to answer."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import pytest
import yaml

from feed_migration.orchestration import runtime as runtimes
from feed_migration.orchestration.place import Place, current_place
from feed_migration.phases import Status
from tests.airflow.conftest import Stage, run_of
from tests.airflow.test_feedback import prove_all
from tests.support.conditions import eventually_sync

pytestmark = pytest.mark.usefixtures("triggerer_channel")
HITL = "/api/v2/dags/~/dagRuns/~/hitlDetails?response_received=false"
PATIENCE_SECONDS = 60.0
NOW = 1_790_000_000.0


def waiting(api: Any) -> list[dict[str, Any]]:
    """The questions of Airflow that nobody has answered and that have not ended."""
    found = api.get(HITL).json()["hitl_details"]
    ended = {"failed", "success", "removed", None}
    return [one["task_instance"] for one in found if one["task_instance"]["state"] not in ended]


@contextmanager
def once_asked(stage: Stage, api: Any, act: Callable[[dict[str, Any]], Any]) -> Iterator[None]:
    """Do `act` with the question as soon as one waits; if it ends nothing, take the fleet back."""
    over, problems = threading.Event(), []

    def wait_and_act() -> None:
        try:
            (asked,) = eventually_sync(lambda: waiting(api), PATIENCE_SECONDS)
            act(asked)
            if not over.wait(PATIENCE_SECONDS):
                problems.append("the question stands")
        except BaseException as error:  # noqa: BLE001 - told in the thread of the test
            problems.append(error)
        # no limit of a test ends the wait, as Airflow's tasks take its timer for their own; and the
        # question that did not come in time may come yet
        while problems and not over.wait(1.0):
            if stage.journal.active_migration() is not None:
                taking_back(stage)({})

    thread = threading.Thread(target=wait_and_act, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(PATIENCE_SECONDS)
    assert problems == []


def answering(api: Any, option: str) -> Callable[[dict[str, Any]], None]:
    """Answer as Airflow's own page does."""

    def answer(asked: dict[str, Any]) -> None:
        url = (
            f"/api/v2/dags/{asked['dag_id']}/dagRuns/{asked['dag_run_id']}"
            f"/taskInstances/{asked['task_id']}/-1/hitlDetails"
        )
        reply = api.patch(url, json={"chosen_options": [option], "params_input": {}})
        assert reply.status_code == 200, reply.text

    return answer


def taking_back(stage: Stage) -> Callable[[dict[str, Any]], None]:
    """The way back of a shell or of the guard: Airflow hears nothing of it."""

    def take_back(_: dict[str, Any]) -> None:
        journal = stage.journal
        runtimes.revert(
            current_place(), journal, str(journal.active_migration()), "ann", "asked for by hand"
        )

    return take_back


@pytest.fixture
def asking(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> Stage:
    """A plan that asks before the first half of the fleet."""
    plan = yaml.safe_load(current_place().plan_path.read_text())
    plan["phases"]["cutover"]["steps"][0]["approval"] = True
    path = stage.home / "asking.yaml"
    path.write_text(yaml.safe_dump(plan, sort_keys=False))
    monkeypatch.setenv("BACKPACK_PLAN", str(path))
    return stage


def test_a_migration_that_is_taken_back_ends_its_question_and_its_run(asking: Stage, api):
    """A run that waited for a day would keep the next migration waiting as long."""
    with once_asked(asking, api, taking_back(asking)):
        run = run_of(asking.dag("backpack_migration"))
    assert str(run.state) == "failed"
    state = asking.journal.state(asking.journal.latest_migration())
    assert (state.status, state.reason) == (Status.ROLLED_BACK, "asked for by hand")
    # nobody has answered, and nothing says that somebody did
    assert asking.journal.events(kind="approval") == []
    assert waiting(api) == []
    assert asking.natives == []


@pytest.mark.parametrize(("option", "state"), [("Approve", "success"), ("Reject", "failed")])
def test_an_answer_in_airflow_ends_the_question(asking: Stage, api, option, state):
    """By Airflow's API, which is what its page, the console and the shell use."""
    with once_asked(asking, api, answering(api, option)):
        run = run_of(asking.dag("backpack_migration"))
    assert str(run.state) == state
    (event,) = asking.journal.events(kind="approval")
    assert (event.actor, event.body["decision"]) == ("ann", option)


def test_consumers_are_asked_about_nothing_that_was_taken_back(stage: Stage, api):
    """Their question would keep the run, and so the next migration, for as long."""
    path = stage.home / "deployment.yaml"
    document = yaml.safe_load(path.read_text()) | {"consumers": ["risk"]}
    path.write_text(yaml.safe_dump(document))
    prove_all(stage)
    with once_asked(stage, api, taking_back(stage)):
        run = run_of(stage.dag("backpack_post_migration"))
    assert str(run.state) == "failed"
    notes = [event.body["note"] for event in stage.journal.events(kind="audit_note")]
    assert "feedback_asked" in notes
    assert "feedback" not in notes


@pytest.fixture
def trigger(stage: Stage, place: Place, context, monkeypatch) -> Any:
    """The wait of a question that was asked at `NOW` and has ten minutes; nobody answers it."""
    from feed_migration.orchestration import question_trigger

    monkeypatch.setattr(question_trigger, "POLL_SECONDS", 0.01)
    monkeypatch.setattr(question_trigger, "kept_answer", lambda ti_id: None)
    return question_trigger.QuestionTrigger(
        place=place,
        migration_id=context["ti"].xcom_pull(task_ids="begin"),
        ti_id="5a69",
        until_unix=NOW + 600.0,
        settle_seconds=0.0,
        clock=lambda: NOW,
    )


async def event_of(trigger: Any) -> dict[str, Any]:
    return (await anext(trigger.run())).payload


async def asks_on(trigger: Any) -> bool:
    """Whether its question stands when it has looked; its time is over then, to end the wait."""
    looks = iter([NOW])
    trigger.clock = lambda: next(looks, trigger.until_unix)
    return (await event_of(trigger))["error_type"] == "timeout"


def test_the_wait_is_rebuilt_from_json_alone(trigger):
    """Another triggerer knows of it only what `serialize` gave the database."""
    from airflow.sdk.module_loading import import_string

    path, arguments = trigger.serialize()
    rebuilt = import_string(path)(**json.loads(json.dumps(arguments)))
    assert rebuilt.serialize() == (path, arguments)


async def test_the_wait_ends_with_its_time(trigger):
    """As silence, which is a No."""
    trigger.clock = lambda: NOW + 600.0
    assert (await event_of(trigger))["error_type"] == "timeout"


async def test_an_answer_that_nobody_was_resumed_with_ends_the_wait(trigger, monkeypatch):
    """It came before Airflow had the task deferred."""
    from feed_migration.orchestration import question_trigger

    given = {"chosen_options": ["Approve"], "responded_at": datetime.now(UTC)}
    monkeypatch.setattr(question_trigger, "kept_answer", lambda ti_id: given)
    assert await event_of(trigger) == given


def after_failures(count: int, answer: Callable[..., Any]) -> Callable[..., Any]:
    """What answers only after it has failed `count` times."""
    left = [count]

    def ask(*arguments: Any) -> Any:
        left[0] -= 1
        if left[0] >= 0:
            raise OSError("away")
        return answer(*arguments)

    return ask


async def test_what_does_not_answer_ends_no_question(trigger, monkeypatch):
    """Neither a locked journal nor an Airflow that restarts: the wait outlasts both."""
    from feed_migration.orchestration import question_trigger

    given = {"chosen_options": ["Approve"], "responded_at": datetime.now(UTC)}
    monkeypatch.setattr(runtimes, "open_runtime", after_failures(2, runtimes.open_runtime))
    monkeypatch.setattr(question_trigger, "kept_answer", after_failures(2, lambda _: given))
    assert await event_of(trigger) == given


async def test_a_way_back_is_seen_behind_a_journal_that_was_away(
    stage: Stage, trigger, monkeypatch
):
    """What was written meanwhile counts as soon as it can be read."""
    runtimes.revert(trigger.place, stage.journal, trigger.migration_id, "ann", "odd")
    monkeypatch.setattr(runtimes, "open_runtime", after_failures(2, runtimes.open_runtime))
    event = await event_of(trigger)
    assert event["error_type"] == "over"
    assert event["error"] == "the migration is rolled back: odd"


async def test_a_migration_that_is_finished_ends_its_question(stage: Stage, trigger):
    """Whatever finished it: there is nothing left to let begin."""
    who = {"migration_id": trigger.migration_id, "actor": "ann"}
    for step in current_place().plan().steps:
        word = {"step": step.name, "decision": "Promote", "reason": "seen"}
        stage.journal.append("approval", body=word, **who)
        stage.journal.append("step_promoted", body={"step": step.name}, **who)
    assert await asks_on(trigger)
    stage.journal.append("migration_finished", body={"outcome": "promoted"}, **who)
    event = await event_of(trigger)
    assert (event["error_type"], event["error"]) == ("over", "the migration is promoted")


async def test_a_journal_that_has_lost_the_migration_ends_no_question(trigger):
    """A backup of an earlier day says nothing against it."""
    trigger.migration_id = "mig-lost"
    assert await asks_on(trigger)
