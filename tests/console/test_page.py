"""The console in a real Chromium: what a person sees, does, and can reach without a mouse."""

import json
import os

import pytest
from playwright.sync_api import Page, expect

from feed_migration.phases import Status
from tests.console.browsing import DESKTOP, HOSTILE, PHONE, opened, serious_faults
from tests.console.scene import (
    Scene,
    airflow_log,
    fail_tasks,
    kept_answer,
    start_run,
    sync_dags,
    task_states,
    wait_for_approval,
)
from tests.support.conditions import eventually_sync

pytestmark = pytest.mark.timeout(120)


@pytest.fixture
def halfway(scene: Scene) -> str:
    """A gate under way on half of the fleet, with a breach in its history."""
    migration_id = scene.begin()
    scene.start_gate(migration_id, "cutover-50")
    scene.measure(migration_id, "cutover-50", [1.0, 2.0, 12.0, 3.0, 2.5])
    return migration_id


def step(page: Page, name: str):
    return page.locator("#track li", has=page.get_by_text(name, exact=True))


def test_a_person_sees_where_the_migration_is(browser, scene, halfway):
    """Track, gate, map, chain and log, all from one look."""
    with opened(browser, scene) as page:
        expect(step(page, "cutover-10")).to_have_class("done")
        expect(step(page, "cutover-50")).to_have_class("running")
        expect(page.locator("#criteria li")).to_have_count(2)
        slow = page.locator("#criteria li", has_text="slow_checks")
        expect(slow).to_contain_text("budget: 1 of 4 failures")
        expect(slow.get_by_role("img")).to_have_attribute(
            "aria-label", "last 5: 1 to 12, 1 failure"
        )
        expect(page.locator("#fleet-map .native")).to_have_count(5)
        expect(page.locator("#fleet-map .ccxt")).to_have_count(5)
        expect(page.locator("#chain")).to_contain_text("Chain intact")
        expect(page.locator("#audit-rows tr").first).to_be_visible()
        expect(page.locator("#live")).to_have_text("live")


def test_the_page_follows_without_being_asked(browser, scene, halfway):
    """What happens elsewhere is on the page a second later."""
    with opened(browser, scene) as page:
        expect(step(page, "cutover-50")).to_have_class("running")
        scene.append(halfway, "held", actor="bob", step="cutover-50", reason="held by bob: a look")
        expect(step(page, "cutover-50")).to_have_class("held")
        expect(page.locator("#why")).to_contain_text("held by bob: a look")
        expect(page.locator("#audit-rows tr").first).to_contain_text("bob")


def test_a_hold_by_button_says_what_it_does_and_asks_why(browser, scene, halfway):
    """No act without its consequence in words, and no hold without a reason."""
    with opened(browser, scene, name="bob", role="user") as page:
        page.get_by_role("button", name="Hold …").click()
        dialog = page.get_by_role("dialog", name="Hold?")
        expect(dialog).to_contain_text("The exposure stays as it is")
        expect(dialog).to_contain_text("under the name bob")
        dialog.get_by_role("button", name="Hold").click()
        expect(dialog.get_by_role("alert")).to_contain_text("Say why")
        dialog.get_by_label("Reason").fill("the venue is odd")
        dialog.get_by_role("button", name="Hold").click()
        expect(dialog).to_be_hidden()
        expect(step(page, "cutover-50")).to_have_class("held")
        expect(page.get_by_role("button", name="Resume …")).to_be_visible()
    assert scene.journal.state(halfway).status is Status.HELD
    assert scene.journal.events(halfway, "held")[0].actor == "bob"


def test_a_rollback_by_keyboard_alone(browser, scene, halfway):
    """Who cannot use a mouse must be able to take the fleet back as well."""
    sync_dags()
    before = len(airflow_log("trigger_dag_run"))
    with opened(browser, scene, name="bob", role="user") as page:
        button = page.get_by_role("button", name="Roll back …")
        expect(button).to_have_attribute("aria-disabled", "false")
        button.focus()
        page.keyboard.press("Enter")
        expect(page.get_by_label("Reason")).to_be_focused()
        page.keyboard.press("Escape")
        expect(page.get_by_role("dialog")).to_be_hidden()
        expect(button).to_be_focused()
        page.keyboard.press("Enter")
        page.keyboard.type("the venue is odd")
        page.keyboard.press("Tab")
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        expect(page.locator("#trouble")).to_contain_text("asked of Airflow: backpack_rollback")
    assert len(airflow_log("trigger_dag_run")) == before + 1
    assert airflow_log("trigger_dag_run")[0][:2] == ("bob", "backpack_rollback")


def test_an_approval_is_given_with_its_evidence_in_view(browser, scene):
    """The dialog shows what speaks for the step, and Airflow gets the answer."""
    migration_id = scene.begin()
    scene.measure(migration_id, "cutover-10", [4.0, 2.0])
    sync_dags()
    run_id = start_run(scene)
    wait_for_approval(run_id)
    with opened(browser, scene) as page:
        expect(step(page, "cutover-50")).to_have_class("waiting")
        expect(page.locator("#gate-facts")).to_contain_text("cutover-10, run 1: ended at")
        expect(page.locator("#gate-facts")).to_contain_text("Promote after 5 min, 2 criteria")
        page.get_by_text("What speaks for it").click()
        rows = page.locator(".approval tbody tr")
        expect(rows).to_have_count(2)
        expect(rows.filter(has_text="slow_checks").get_by_role("cell").first).to_have_text("2")
        assert serious_faults(page) == []
        page.locator(".approval").first.get_by_role("button", name="Approve …").click()
        dialog = page.get_by_role("dialog", name="Approve cutover-50?")
        expect(dialog).to_contain_text("Last gate, cutover-10: Promote after 5 min, 2 criteria")
        expect(dialog).to_contain_text("50 % of the fleet")
        # no Markdown source: elements that the page has built itself
        expect(dialog).not_to_contain_text("**")
        expect(dialog.get_by_role("row")).to_have_count(3)
        assert serious_faults(page) == []
        dialog.get_by_role("button", name="Approve").click()
        expect(dialog).to_be_hidden()
        expect(page.locator(".approval")).to_have_count(0)
        expect(page.locator("#trouble")).to_contain_text("cutover-50 is approved")
    assert task_states(run_id)["cutover_50.approval"] == "scheduled"


def test_an_answer_carries_its_reason(browser, scene):
    """A Yes may, a No must: the dialog says which, and keeps a No without one from being sent."""
    scene.begin()
    sync_dags()
    run_id = start_run(scene)
    wait_for_approval(run_id)
    with opened(browser, scene) as page:
        page.get_by_role("button", name="Approve …").click()
        reason = page.get_by_role("dialog").get_by_role("textbox")
        expect(reason).to_have_accessible_name("Reason (may be left empty, kept in the audit log)")
        expect(page.get_by_role("button", name="Cancel")).to_be_focused()
        page.keyboard.press("Escape")
        page.get_by_role("button", name="Reject …").click()
        expect(reason).to_have_accessible_name("Reason (required, kept in the audit log)")
        expect(reason).to_be_focused()
        dialog = page.get_by_role("dialog", name="Reject cutover-50?")
        dialog.get_by_role("button", name="Reject").click()
        expect(dialog.get_by_role("alert")).to_contain_text("Say why")
        assert kept_answer(run_id) is None
        reason.fill("odd book")
        assert serious_faults(page) == []
        dialog.get_by_role("button", name="Reject").click()
        expect(page.locator("#trouble")).to_contain_text("cutover-50 is rejected")
    assert kept_answer(run_id) == (["Reject"], {"reason": "odd book"})


def test_a_resumption_carries_its_reason(browser, scene):
    """Who reads the audit log sees what had changed since the hold."""
    sync_dags()
    run_id = start_run(scene)
    migration_id = scene.begin(run_id=run_id)
    scene.start_gate(migration_id, "cutover-50", run_id)
    scene.append(migration_id, "held", step="cutover-50", reason="a look")
    fail_tasks(run_id, "cutover_50.gate", "rollback.revert", "rollback.document", "verdict")
    with opened(browser, scene, name="bob", role="user") as page:
        page.get_by_role("button", name="Resume …").click()
        dialog = page.get_by_role("dialog", name="Resume?")
        dialog.get_by_label("Reason (may be left empty").fill("the book is fine")
        dialog.get_by_role("button", name="Resume").click()
        expect(page.locator("#trouble")).to_contain_text("cutover-50 is watched anew")
        newest = page.locator("#audit-rows tr").first
        expect(newest).to_contain_text("resumed, its gate watches anew: the book is fine")


def test_a_viewer_is_told_why_the_buttons_do_nothing(browser, scene, halfway):
    """Disabled, reachable, and with a reason; no dialog opens."""
    with opened(browser, scene, name="vic", role="viewer") as page:
        button = page.get_by_role("button", name="Roll back …")
        expect(button).to_have_attribute("aria-disabled", "true")
        button.click(force=True)
        expect(page.locator("#trouble")).to_contain_text("vic may not do this")
        expect(page.get_by_role("dialog")).to_be_hidden()


def test_hostile_text_is_text(browser, scene, halfway):
    """From the journal, from instances, from approvals: shown as it was written, run nowhere."""
    scene.fleet.never_ready.add("feed-07")
    scene.append(halfway, "held", actor=HOSTILE, step="cutover-50", reason=HOSTILE)
    with opened(browser, scene) as page:
        expect(page.locator("#why")).to_contain_text(HOSTILE)
        expect(page.locator("#audit-rows tr").first).to_contain_text(HOSTILE)
        page.locator("#audit-rows summary").first.click()
        expect(page.locator("#audit-rows pre").first).to_contain_text("hash")
        expect(page.locator("#fleet-faults")).to_contain_text("no book")
        assert page.evaluate("window.hacked") is None
        assert page.locator("main img, main script").count() == 0


def test_a_lost_connection_is_told_and_the_state_stays(browser, scene, halfway, monkeypatch):
    """Stale is not empty: the person keeps what was true, and knows since when."""
    monkeypatch.setattr("feed_migration.console.live.STREAM_SECONDS", 1.0)
    with opened(browser, scene) as page:
        expect(page.locator("#live")).to_have_text("live")
        page.route("**/api/live", lambda route: route.abort())
        expect(page.locator("#live")).to_contain_text("stale since", timeout=20_000)
        expect(step(page, "cutover-50")).to_have_class("running")
        page.unroute("**/api/live")
        expect(page.locator("#live")).to_have_text("live", timeout=20_000)


def test_arrow_keys_move_on_the_map(browser, scene, halfway):
    """One stop in the tab order for the whole fleet; Enter tells of an instance."""
    with opened(browser, scene) as page:
        page.locator("#fleet-map button").first.focus()
        page.keyboard.press("ArrowRight")
        expect(page.locator("#fleet-map button").nth(1)).to_be_focused()
        page.keyboard.press("End")
        page.keyboard.press("Enter")
        expect(page.locator("#fleet-one")).to_contain_text("feed-09: ccxt, ready")
        assert page.locator('#fleet-map button[tabindex="0"]').count() == 1


def test_the_log_is_searched_and_paged(browser, scene, halfway):
    """By hand, as an auditor does."""
    for number in range(130):
        scene.append(
            halfway, "audit_note", actor="eve" if number == 3 else "bob", note=f"mark-{number}"
        )
    with opened(browser, scene) as page:
        page.get_by_role("searchbox", name="Who").fill("eve")
        expect(page.locator("#audit-rows tr")).to_have_count(1)
        page.get_by_role("searchbox", name="Who").fill("")
        page.get_by_role("combobox", name="Event").select_option("audit_note")
        expect(page.locator("#audit-rows tr")).to_have_count(100)
        page.get_by_role("button", name="Older").click()
        expect(page.locator("#audit-rows tr")).to_have_count(30)


def test_what_an_act_came_to_is_told_for_a_while(browser, scene, halfway):
    """A banner of ten minutes ago reads like news; trouble with a part stays as long as it is."""
    with opened(browser, scene, name="vic", role="viewer") as page:
        page.clock.install()
        page.get_by_role("button", name="Roll back …").click(force=True)
        expect(page.get_by_role("alert").first).to_contain_text("vic may not do this")
        page.clock.fast_forward(11_000)
        expect(page.locator("#trouble")).to_be_hidden()


def test_on_the_way_back_nothing_is_called_rolled_back(browser, scene, halfway):
    """Instances still restart: it is over once ccxt is verified."""
    back = {"reason": "stale", "epoch": 2, "instances": {}, "logs": {}}
    scene.append(halfway, "rollback_started", **back)
    with opened(browser, scene) as page:
        expect(step(page, "cutover-50")).to_contain_text("going back")
        expect(page.locator("#gate-facts")).to_contain_text("ended without a verdict")
        expect(page.locator("#track")).not_to_contain_text("rolled back")


def test_parity_says_whose_it_is(browser, scene):
    """The files of the last comparison stay on disk until the next one begins."""
    folder = scene.home / "parity"
    folder.mkdir()
    facts = {"compared": {"trade": 10}, "agreed": {"trade": 10}, "unsettled": 0}
    file = folder / "shadow-00.json"
    file.write_text(json.dumps(facts))
    os.utime(file, (1_000_000.0, 1_000_000.0))
    migration_id = scene.begin()
    with opened(browser, scene) as page:
        told = page.locator("#parity-facts")
        expect(told).to_contain_text("Of an earlier migration, last compared at 1970-01-12")
        expect(told).to_contain_text("10 of 10 trades agreed")
        expect(told).to_contain_text("1 shadow process.")
        os.utime(file)
        expect(told).to_contain_text(f"Of {migration_id}, last compared at")


@pytest.mark.parametrize("viewport", [DESKTOP, PHONE], ids=["desktop", "phone"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_serious_fault(browser, scene, halfway, viewport, scheme):
    """In both themes and sizes, the dialog included; and nothing is wider than the screen."""
    scene.fleet.never_ready.add("feed-07")
    with opened(browser, scene, viewport=viewport, scheme=scheme) as page:
        expect(page.locator("#audit-rows tr").first).to_be_visible()
        expect(page.locator("#fleet-faults li")).to_have_count(1)
        assert serious_faults(page) == []
        assert page.evaluate("document.documentElement.scrollWidth") <= viewport["width"]
        page.get_by_role("button", name="Roll back …").click()
        expect(page.get_by_label("Reason")).to_be_focused()
        assert serious_faults(page) == []


def test_on_a_phone_the_log_is_read_without_scrolling_sideways(browser, scene, halfway):
    """When, what and who of an event are all on the screen, whatever their length."""
    scene.append(halfway, "held", actor="gate cutover-100", step="cutover-50", reason="word " * 20)
    with opened(browser, scene, viewport=PHONE) as page:
        row = page.locator("#audit-rows tr").first
        expect(row).to_contain_text("word word")
        for cell in row.locator("td").all():
            box = cell.bounding_box()
            assert box["x"] + box["width"] <= PHONE["width"]
        log = page.get_by_role("region", name="Events")
        assert log.evaluate("log => log.scrollWidth - log.clientWidth") == 0
        # a date in three lines is none
        assert row.locator("td").nth(1).bounding_box()["height"] < 2 * 14 * 1.5
        assert page.get_by_role("columnheader").all_text_contents()[-2:] == ["Who", "Migration"]


def test_the_page_works_in_airflows_own_frame(browser, scene, halfway):
    """There it is sandboxed: no pop-ups, no confirm(), so the dialog is the page's own."""
    with opened(browser, scene, path="/plugin/backpack-migration") as page:
        frame = page.frame_locator('iframe[title="Backpack migration"]')
        expect(frame.locator("#track li").first).to_be_visible(timeout=30_000)
        frame.get_by_role("button", name="Roll back …").click()
        expect(frame.get_by_role("dialog")).to_contain_text("put back on the ccxt feed")
        eventually_sync(lambda: frame.locator("#live").text_content() == "live")
        frame.get_by_role("button", name="Cancel").click()
        # a link that asked for a window of its own would do nothing here
        frame.get_by_role("link", name="Report").click()
        frame.get_by_role("link", name="Console").click()
        expect(frame.locator("#track li").first).to_be_visible()
