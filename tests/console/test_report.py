"""The report as a page of the console: of the latest migration, of one, or of a DAG run's."""

import pytest
from playwright.sync_api import expect

from tests.console.browsing import HOSTILE, PHONE, opened, serious_faults
from tests.console.scene import DAG_ID, RUN_ID, Scene

pytestmark = pytest.mark.timeout(120)
LINES = """cell => {
  const range = document.createRange();
  range.selectNodeContents(cell);
  return new Set([...range.getClientRects()].map((box) => box.top)).size;
}"""


def test_the_report_is_that_of_the_command(scene: Scene):
    """`/report` is the latest migration; steps, verdicts and timeline are tables."""
    migration_id = scene.begin()
    session = scene.browser("vic", "viewer")
    page = session.get(f"{scene.url}/report", timeout=15)
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert f"<h1>Migration {migration_id}: running</h1>" in page.text
    assert "<td>cutover-10</td>" in page.text
    assert "<td>not yet</td>" in page.text
    markdown = session.get(f"{scene.url}/report.md?migration={migration_id}", timeout=15)
    assert markdown.headers["content-type"].startswith("text/markdown")
    assert markdown.text.startswith(f"# Migration {migration_id}: running")


def test_a_task_leads_to_the_report_of_its_own_migration(scene: Scene):
    """The link of a task knows its DAG run, not the migration; a later one is not shown instead."""
    mine = scene.begin()
    scene.append(mine, "audit_note", note="joined", dag_id=DAG_ID, run_id=RUN_ID)
    scene.append(mine, "rollback_started", reason="seen enough", epoch=2)
    scene.append(mine, "rollback_verified", instances={}, epoch=2)
    scene.append(mine, "migration_finished", outcome="rolled_back")
    latest = scene.begin(run_id="manual__later")
    session = scene.browser()
    found = session.get(f"{scene.url}/report", params={"run": RUN_ID}, timeout=15).text
    assert mine in found
    assert latest not in found


@pytest.mark.parametrize("query", ["", "?migration=mig-nowhere", "?run=manual__nowhere"])
def test_no_such_migration_is_said(scene: Scene, query):
    """Neither an empty page nor another migration's report."""
    if query:
        scene.begin()
    answer = scene.browser().get(f"{scene.url}/report{query}", timeout=15)
    assert answer.status_code == 409
    assert "the journal has no such migration" in answer.json()["detail"]


def test_a_fleet_that_is_away_leaves_the_report(scene: Scene):
    """What happened is in the journal: it is told without the fleet's word on what is now."""
    migration_id = scene.begin()
    from feed_migration.errors import FleetUnavailable

    def away():
        raise FleetUnavailable("no supervisord", "start it")

    scene.fleet.instances = away
    assert migration_id in scene.browser().get(f"{scene.url}/report", timeout=15).text


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_person_reads_it_and_markup_in_it_is_text(browser, scene: Scene, scheme):
    """From the console's own link, on a phone, with what somebody else wrote into the journal."""
    migration_id = scene.begin()
    scene.append(migration_id, "audit_note", actor=HOSTILE, note=f"{HOSTILE} [x](javascript:alert)")
    scene.append(migration_id, "held", step="cutover-50", reason=HOSTILE)
    with opened(browser, scene, viewport=PHONE, scheme=scheme) as page:
        with page.expect_popup() as popup:
            page.get_by_role("link", name="Report").click()
        report = popup.value
        expect(report.get_by_role("heading", level=1).first).to_contain_text(migration_id)
        expect(report.get_by_text("onerror").first).to_be_visible()
        assert report.evaluate("window.hacked") is None
        assert report.locator("main img, main script").count() == 0
        assert report.locator("a[href^=javascript]").count() == 0
        widths = report.evaluate("[document.documentElement.scrollWidth, window.innerWidth]")
        assert widths[0] <= widths[1]
        assert serious_faults(report) == []


def test_a_name_in_a_table_stays_in_one_piece(browser, scene: Scene):
    """Who looks for a criterion looks for its name; a wide table scrolls instead."""
    migration_id = scene.begin()
    scene.start_gate(migration_id, "cutover-50")
    scene.measure(migration_id, "cutover-50", [1.0, 12.0])
    finding = {"criterion": "slow_checks", "value": 12.0, "threshold": "<= 5", "text": "word " * 30}
    finding["series"] = {"instance_id": "feed-00", "symbol": "SOL-USDC"}
    verdict = {"step": "cutover-50", "run": "1", "decision": "Rollback", "reasons": [finding]}
    scene.append(migration_id, "verdict", **verdict, at_seconds=15.0)
    path = f"/backpack/report?migration={migration_id}"
    with opened(browser, scene, viewport=PHONE, path=path) as page:
        names = page.get_by_role("cell", name="slow_checks", exact=True)
        expect(names.first).to_be_visible()
        assert [name.evaluate(LINES) for name in names.all()] == [1] * names.count()
        # all of it scrolls inside its own frame
        assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
