"""News leave alone what a person is at on the page: the focus, what is open, what is selected."""

import json

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.console.browsing import opened
from tests.console.scene import start_run, sync_dags, wait_for_approval

pytestmark = pytest.mark.timeout(120)


@pytest.fixture
def halfway(scene) -> str:
    """A gate under way on half of the fleet."""
    migration_id = scene.begin()
    scene.start_gate(migration_id, "cutover-50")
    scene.measure(migration_id, "cutover-50", [1.0, 2.0])
    return migration_id


def select(place: Locator) -> str:
    """Select the text of an element, as for copying it."""
    place.evaluate("element => getSelection().selectAllChildren(element)")
    return selected(place.page)


def selected(page: Page) -> str:
    return page.evaluate("String(getSelection())")


def test_a_measurement_leaves_the_open_query_alone(browser, scene, halfway):
    """The gate of production is asked every fifteen seconds: too short to read a query in."""
    with opened(browser, scene) as page:
        slow = page.locator("#criteria li", has_text="slow_checks")
        slow.locator("summary").focus()
        page.keyboard.press("Enter")
        query = select(slow.locator("code"))
        assert query
        scene.measure(halfway, "cutover-50", [1.0, 2.0, 7.0])
        expect(slow.locator(".number")).to_contain_text("7")
        expect(slow.locator("summary")).to_be_focused()
        expect(slow.locator("code")).to_be_visible()
        assert selected(page) == query


def test_an_event_leaves_the_rows_of_the_log_alone(browser, scene, halfway):
    """Who reads an event's body while the next ones come goes on reading."""
    with opened(browser, scene) as page:
        row = page.locator("#audit-rows tr").nth(2)
        number = row.locator("td").first.text_content()
        row.locator("summary").focus()
        page.keyboard.press("Enter")
        body = select(row.locator("pre"))
        assert "hash" in body
        scene.append(halfway, "audit_note", actor="eve", note="a note")
        expect(page.locator("#audit-rows tr").first).to_contain_text("eve")
        same = page.locator("#audit-rows tr").nth(3)
        expect(same.locator("td").first).to_have_text(number)
        expect(same.locator("summary")).to_be_focused()
        expect(same.locator("pre")).to_be_visible()
        assert selected(page) == body


def test_a_longer_wait_leaves_the_question_alone(browser, scene):
    """Evidence stays open and the answer's button stays the one that Enter presses."""
    migration_id = scene.begin()
    scene.measure(migration_id, "cutover-10", [4.0, 2.0])
    asked = {"holder": "approval cutover-50"}
    scene.journal.renew_lease(migration_id, seconds=4200.0, **asked)
    sync_dags()
    wait_for_approval(start_run(scene))
    with opened(browser, scene) as page:
        question = page.locator(".approval")
        question.get_by_text("What speaks for it").click()
        told = question.get_by_text("no answer by").text_content()
        line = select(question.locator(".evidence p").first)
        button = question.get_by_role("button", name="Approve …")
        button.focus()
        scene.journal.renew_lease(migration_id, seconds=9000.0, **asked)
        expect(question.get_by_text("no answer by")).not_to_have_text(told)
        expect(button).to_be_focused()
        expect(question.get_by_role("table")).to_be_visible()
        assert selected(page) == line


def test_what_stays_the_same_stays_selected(browser, scene, halfway):
    """A phase, an instance that is not well, an example of parity: for copying into a message."""
    folder = scene.home / "parity"
    folder.mkdir()
    sample = {"blamed": "ccxt", "kind": "missing", "symbol": "SOL-USDC", "id": 7}
    facts = {"compared": {"trade": 10}, "agreed": {"trade": 9}, "samples": [sample]}
    (folder / "shadow-00.json").write_text(json.dumps(facts))
    scene.fleet.never_ready.add("feed-07")
    with opened(browser, scene) as page:
        faults = page.locator("#fleet-faults li")
        expect(faults).to_have_text("feed-07 unhealthy: no book")
        fault = select(faults.first)
        scene.fleet.never_ready.add("feed-08")
        expect(faults).to_have_text([fault, "feed-08 unhealthy: no book"])
        assert selected(page) == fault

        counts = page.locator("#fleet-counts li")
        count = select(counts.filter(has_text="unhealthy"))
        scene.fleet.variant["feed-09"] = "native"
        expect(counts.filter(has_text="native")).to_contain_text("6 native")
        assert selected(page) == count

        example = select(page.locator("#parity-samples td", has_text="SOL-USDC"))
        scene.append(halfway, "held", step="cutover-50", reason="a look")
        expect(page.locator("#why")).to_contain_text("a look")
        assert selected(page) == example

        phase = select(page.locator("#track li", has_text="shadow"))
        scene.append(halfway, "step_started", step="cutover-50", run="2", key="d/r#1")
        expect(page.locator("#track li.running")).to_have_count(1)
        assert selected(page) == phase


def test_an_instance_that_changes_keeps_the_focus(browser, scene, halfway):
    """And one that leaves the fleet hands it on: arrow keys go on from there."""
    with opened(browser, scene) as page:
        cells = page.locator("#fleet-map button")
        cells.nth(7).focus()
        scene.fleet.variant["feed-07"] = "native"
        expect(cells.nth(7)).to_have_class("cell native")
        expect(cells.nth(7)).to_be_focused()
        del scene.fleet.variant["feed-07"]
        expect(cells).to_have_count(9)
        expect(page.locator('#fleet-map button[tabindex="0"]')).to_be_focused()


def test_a_new_instance_stands_where_the_deployment_names_it(browser, scene, halfway):
    """On the map and for the arrow keys; what has the focus keeps it."""
    with opened(browser, scene) as page:
        cells = page.locator("#fleet-map button")
        cells.nth(9).focus()
        scene.fleet.variant = {"feed-a": "ccxt", **scene.fleet.variant}
        scene.fleet.messages["feed-a"] = scene.fleet.restarts["feed-a"] = 0
        expect(cells).to_have_count(11)
        expect(cells.nth(10)).to_be_focused()
        page.keyboard.press("Home")
        expect(cells.first).to_be_focused()
        expect(cells.first).to_contain_text("feed-a")


def test_the_focus_goes_from_a_button_that_vanishes_to_the_one_in_its_place(
    browser, scene, halfway
):
    """Hold becomes Resume; who works by keyboard must not begin again at the top of the page."""
    with opened(browser, scene) as page:
        page.get_by_role("button", name="Hold …").click()
        page.get_by_label("Reason").fill("the venue is odd")
        page.keyboard.press("Tab")
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        expect(page.get_by_role("button", name="Resume …")).to_be_focused()


def test_the_focus_goes_from_an_answered_question_to_the_phases(browser, scene):
    """The question is gone, and with it the button that opened its dialog."""
    scene.begin()
    sync_dags()
    wait_for_approval(start_run(scene))
    with opened(browser, scene) as page:
        page.locator(".approval").get_by_role("button", name="Approve …").click()
        page.get_by_role("dialog").get_by_role("button", name="Approve").click()
        expect(page.locator(".approval")).to_have_count(0)
        expect(page.locator("#main")).to_be_focused()
