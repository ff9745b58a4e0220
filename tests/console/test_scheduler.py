"""Whether Airflow's scheduler carries on what the console asks of Airflow, and what is said if not."""

import pytest
import requests
from playwright.sync_api import Page, expect

from feed_migration.console.told import Silence, resumed, standing_notice
from feed_migration.phases import Status
from tests.console.browsing import PHONE, opened, serious_faults
from tests.console.scene import (
    fail_tasks,
    kept_answer,
    scheduler_heard,
    scheduler_never_heard,
    start_run,
    sync_dags,
    task_states,
    triggerer_heard,
    wait_for_approval,
)
from tests.console.test_routes import sse
from tests.support.conditions import eventually_sync

pytestmark = pytest.mark.timeout(120)

DEAD_SECONDS = 7200.0
AT_A_SHELL = "run `backpack-migrate rollback --reason …` on a host of the fleet"


@pytest.fixture
def run_id(scene) -> str:
    """A run of the whole migration, in a database that knows our DAGs."""
    sync_dags()
    return start_run(scene)


@pytest.fixture
def last_heard(scene) -> str:
    """The minute of the last sign of life of a scheduler that is dead."""
    return f"{scheduler_heard(DEAD_SECONDS):%Y-%m-%d %H:%M:}"


def post(scene, act: str, body: dict, dag_id: str = "backpack_migration") -> dict:
    url = f"{scene.url}/api/dags/{dag_id}/{act}"
    answer = scene.browser("bob", "user").post(url, json=body, timeout=15)
    assert answer.status_code == 200, answer.text
    return answer.json()


def roll_back(scene) -> dict:
    return post(scene, "rollback", {"reason": "the venue is odd"}, "backpack_rollback")


def newest_way_back(scene) -> dict:
    url = f"{scene.airflow_url}/api/v2/dags/backpack_rollback/dagRuns?order_by=-id&limit=1"
    headers = {"Authorization": f"Bearer {scene.token()}"}
    (run,) = requests.get(url, headers=headers, timeout=15).json()["dag_runs"]
    return run


def notice(scene, session: requests.Session) -> str:
    return scene.view(session).get("airflow", {}).get("notice", "")


def test_a_way_back_that_nobody_carries_on_is_queued_and_says_so(scene, run_id, last_heard):
    """Instances stay exposed: the person is sent to the shell, and Airflow goes on when it can."""
    told = roll_back(scene)
    asked = f"asked of Airflow, whose scheduler has not been heard since {last_heard}"
    assert told["done"].startswith(asked)
    assert told["done"].endswith(f" UTC: {AT_A_SHELL}")
    assert told["waits"] is True
    run = newest_way_back(scene)
    assert (run["state"], run["conf"]["reason"]) == ("queued", "the venue is odd")


def test_a_way_back_is_asked_for_and_not_called_started(scene, run_id):
    """A run that is queued has done nothing yet, whoever is to take it."""
    told = roll_back(scene)
    run = newest_way_back(scene)["dag_run_id"]
    assert told == {"done": f"asked of Airflow: backpack_rollback {run}", "waits": False}


@pytest.mark.usefixtures("run_id")
def test_a_scheduler_that_has_ended_or_never_was_is_not_heard(scene):
    """As Airflow's own health has it: a fresh sign of life of one that stopped is none."""
    scheduler_heard(0.0, state="success")
    assert "has not been heard since" in roll_back(scene)["done"]
    scheduler_never_heard()
    asked = f"asked of Airflow, whose scheduler has never been heard: {AT_A_SHELL}"
    assert roll_back(scene) == {"done": asked, "waits": True}


@pytest.mark.parametrize(
    ("option", "said", "remedy"),
    [
        ("Approve", "is approved in Airflow", "the step begins once it runs again, start it"),
        ("Reject", "is rejected in Airflow", f"for the fleet to go back now, {AT_A_SHELL}"),
    ],
)
@pytest.mark.usefixtures("last_heard")
def test_an_answer_that_nobody_takes_in_says_so(scene, run_id, option, said, remedy):
    """It is kept, and nothing comes of it for as long as the scheduler is dead."""
    scene.begin()
    wait_for_approval(run_id)
    body = {"run_id": run_id, "task_id": "cutover_50.approval", "option": option, "reason": "odd"}
    told = post(scene, "answer", body)
    assert told["done"].startswith(f"cutover-50 {said}, whose scheduler has not been heard since ")
    assert told["done"].endswith(f" UTC: {remedy}")
    assert told["waits"] is True
    assert kept_answer(run_id) == ([option], {"reason": "odd"})


def test_a_hold_holds_without_a_scheduler(scene, last_heard):
    """The journal has it; only the DAG run does not end."""
    migration_id = scene.begin()
    scene.start_gate(migration_id, "cutover-50")
    told = post(scene, "hold", {"reason": "the venue is odd"})
    said = f"cutover-50 is held; Airflow's scheduler has not been heard since {last_heard}"
    assert told["done"].startswith(said)
    assert told["waits"] is True
    assert scene.journal.state(migration_id).status is Status.HELD


def test_a_resumption_that_nobody_carries_on_says_so(scene, run_id, last_heard):
    """The gate is cleared, and watched anew once there is somebody to watch."""
    migration_id = scene.begin()
    scene.start_gate(migration_id, "cutover-50", run_id)
    scene.append(migration_id, "held", step="cutover-50", reason="a look")
    fail_tasks(run_id, "cutover_50.gate", "rollback.revert", "rollback.document", "verdict")
    told = post(scene, "resume", {"run_id": run_id, "dry_run": False})
    said = f"asked of Airflow, whose scheduler has not been heard since {last_heard}"
    assert told["done"].startswith(said)
    assert "cutover-50 is watched anew once it runs again" in told["done"]
    assert told["waits"] is True
    assert task_states(run_id)["cutover_50.gate"] is None


def test_words_are_those_of_the_moment():
    """With a scheduler nothing waits, and nothing stands on the page."""
    assert standing_notice(None, None) == ""
    assert resumed("cutover-50", 3, None) == {
        "done": "cutover-50 is watched anew: 3 tasks cleared",
        "waits": False,
    }
    since, never = Silence(since_unix=0.0), Silence(since_unix=None)
    assert standing_notice(since, None).startswith(
        "Airflow's scheduler has not been heard since 1970-01-01 00:00:00 UTC: what is asked of"
    )
    assert standing_notice(None, never).startswith(
        "Airflow's triggerer has never been heard: no gate is judged"
    )
    assert standing_notice(since, never).startswith(
        "Airflow's scheduler has not been heard since 1970-01-01 00:00:00 UTC, its triggerer has "
        "never been heard: what is asked of"
    )


def test_the_page_says_that_no_gate_is_judged_without_a_triggerer(browser, scene):
    """Every gate waits there: before its lease ends somebody has to start it."""
    last = f"{triggerer_heard(DEAD_SECONDS):%Y-%m-%d %H:%M:}"
    migration_id = scene.begin()
    scene.start_gate(migration_id, "cutover-50")
    with opened(browser, scene, viewport=PHONE) as page:
        expect(trouble(page)).to_contain_text(
            f"Airflow's triggerer has not been heard since {last}"
        )
        expect(trouble(page)).to_contain_text("no gate is judged")
        expect(trouble(page)).to_contain_text("or when the lease ends")
        assert serious_faults(page) == []
        triggerer_heard()
        expect(page.locator("#trouble")).to_be_hidden()


def test_view_and_stream_say_that_the_scheduler_is_not_heard(scene, last_heard):
    """Whoever looks, also by a program, and also where the journal cannot be read."""
    scene.begin()
    session = scene.browser()
    said = f"Airflow's scheduler has not been heard since {last_heard}"
    eventually_sync(lambda: notice(scene, session).startswith(said))
    with session.get(f"{scene.url}/api/live", stream=True, timeout=(5, 15)) as answer:
        events = sse(answer)
        kind, data = eventually_sync(lambda: (news := next(events))[0] == "airflow" and news)
        assert said in data
        scheduler_heard()
        eventually_sync(lambda: next(events) == (kind, '{"notice":""}'), timeout_seconds=20)


def trouble(page: Page):
    return page.get_by_role("alert").and_(page.locator("#trouble"))


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_says_so_for_as_long_as_the_scheduler_is_not_heard(
    browser, scene, last_heard, scheme
):
    """To everybody who looks, in words that a screen reader speaks; gone with the trouble."""
    scene.begin()
    with opened(browser, scene, viewport=PHONE, scheme=scheme) as page:
        expect(trouble(page)).to_contain_text(f"has not been heard since {last_heard}")
        expect(trouble(page)).to_contain_text("A rollback from the shell works without it")
        assert serious_faults(page) == []
        assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
        scheduler_heard()
        expect(page.locator("#trouble")).to_be_hidden()


def test_an_act_that_waits_is_a_warning_and_no_success(browser, scene, run_id, last_heard):
    """By keyboard, as anybody may; afterwards the page says again what is wrong."""
    scene.begin(run_id=run_id)
    with opened(browser, scene, name="bob", role="user") as page:
        expect(trouble(page)).to_contain_text("Airflow's scheduler has not been heard")
        page.clock.install()
        button = page.get_by_role("button", name="Roll back …")
        button.focus()
        page.keyboard.press("Enter")
        expect(page.get_by_label("Reason")).to_be_focused()
        page.keyboard.type("the venue is odd")
        page.keyboard.press("Tab")
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        expect(trouble(page)).to_contain_text("asked of Airflow, whose scheduler")
        expect(trouble(page)).to_contain_text(AT_A_SHELL)
        expect(trouble(page)).to_have_class("trouble warn")
        assert serious_faults(page) == []
        expect(button).to_be_focused()
        page.clock.fast_forward(11_000)
        expect(trouble(page)).to_contain_text("A rollback from the shell works without it")
        expect(trouble(page)).to_have_class("trouble bad")
