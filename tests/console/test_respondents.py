"""Who may answer an approval: named to everybody, and to all others no button is held out."""

import pytest
from playwright.sync_api import Page, expect

from tests.console.browsing import opened, serious_faults
from tests.console.scene import airflow_log, kept_answer, start_run, sync_dags, wait_for_approval
from tests.support.conditions import eventually_sync

pytestmark = pytest.mark.timeout(120)

KIM = {"id": "kim", "name": "Kim (risk)"}
BO = {"id": "7", "name": "bo"}


@pytest.fixture
def run_id(scene) -> str:
    """A run that asks two people of the plan whether cutover-50 may begin."""
    sync_dags()
    run_id = start_run(scene)
    scene.begin(run_id=run_id)
    wait_for_approval(run_id, assignees=[KIM, BO])
    return run_id


def answer(scene, run_id: str, name: str, role: str = "admin"):
    url = f"{scene.url}/api/dags/backpack_migration/answer"
    body = {"run_id": run_id, "task_id": "cutover_50.approval", "option": "Approve"}
    return scene.browser(name, role).post(url, json=body, timeout=15)


def button(page: Page, label: str):
    return page.locator(".approval").get_by_role("button", name=label)


def test_the_view_names_who_may_answer(scene, run_id):
    """With the question, and in the line that says why the migration waits."""
    session = scene.browser()
    view = eventually_sync(
        lambda: (shown := scene.view(session).get("migration", {})).get("approvals") and shown
    )
    assert view["approvals"][0]["may_answer"] == [KIM, BO]
    assert view["why"] == (
        "Waits for a person to approve cutover-50 (may answer: Kim (risk) or bo)."
    )


def test_an_answer_of_somebody_else_is_refused_with_the_names(scene, run_id):
    """An administrator's as well; whom to ask is what the person needs to know."""
    said = answer(scene, run_id, "ann")
    assert said.status_code == 403
    assert said.json()["detail"] == (
        "ann may not answer this, only Kim (risk) or bo may, whatever the role in Airflow: "
        "ask one of them"
    )
    assert kept_answer(run_id) is None


def test_an_answer_of_one_who_is_named_is_taken(scene, run_id):
    """By id, as Airflow has it, and not by the name for readers."""
    assert answer(scene, run_id, "bo").status_code == 403
    assert answer(scene, run_id, "kim", "user").status_code == 200
    assert kept_answer(run_id) == (["Approve"], {})


@pytest.mark.parametrize(("all_admins", "answers_all"), [("False", False), ("True", True)])
def test_where_airflow_lets_everybody_answer_the_console_knows(
    scene, monkeypatch, all_admins, answers_all
):
    """It would otherwise lock all users of an open Airflow out of their own question."""
    monkeypatch.setenv("AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS", all_admins)
    me = scene.browser("ann").get(f"{scene.url}/api/me", timeout=15).json()
    assert (me["id"], me["answers_all"]) == ("ann", answers_all)


@pytest.mark.usefixtures("run_id")
def test_buttons_are_disabled_for_all_others_with_the_names(browser, scene):
    """Reachable by keyboard, and no dialog opens; who may is there for all to read."""
    with opened(browser, scene, name="ann", role="admin") as page:
        expect(page.locator(".approval")).to_contain_text("May answer: Kim (risk) or bo.")
        why = "only Kim (risk) or bo may answer this, and you are ann"
        for label in ("Approve …", "Reject …"):
            expect(button(page, label)).to_have_attribute("aria-disabled", "true")
            expect(button(page, label)).to_have_accessible_description(why)
        button(page, "Approve …").focus()
        page.keyboard.press("Enter")
        expect(page.locator("#trouble")).to_contain_text(f"Approve is not possible: {why}")
        expect(page.get_by_role("dialog")).to_be_hidden()
        way_back = page.get_by_role("button", name="Roll back …")
        expect(way_back).to_have_attribute("aria-disabled", "false")
        assert serious_faults(page) == []


def test_who_is_named_answers_by_button(browser, scene, run_id):
    """And the one that answers is the one whose name is kept."""
    with opened(browser, scene, name="kim", role="user") as page:
        expect(button(page, "Approve …")).to_have_attribute("aria-disabled", "false")
        button(page, "Approve …").click()
        page.get_by_role("dialog").get_by_role("button", name="Approve").click()
        expect(page.locator("#trouble")).to_contain_text("cutover-50 is approved")
    assert kept_answer(run_id) == (["Approve"], {})
    assert airflow_log("update_hitl_detail")[0][0] == "kim"


@pytest.mark.usefixtures("run_id")
def test_an_open_dialog_says_that_the_new_login_may_not_answer(browser, scene):
    """Before a reason is typed in vain."""
    with opened(browser, scene, name="kim", role="user") as page:
        expect(button(page, "Reject …")).to_have_attribute("aria-disabled", "false")
        cookie = {"name": "_token", "value": scene.token("ann"), "url": scene.airflow_url}
        page.context.add_cookies([cookie])
        button(page, "Reject …").click()
        told = page.get_by_role("dialog").get_by_role("alert")
        expect(told).to_have_text("only Kim (risk) or bo may answer this, and you are ann")
