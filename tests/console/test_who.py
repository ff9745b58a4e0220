"""Who looks at the page may change while it is open, and may not be known: what the buttons say."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Page, expect

from tests.console.browsing import opened
from tests.console.scene import airflow_log, sync_dags

pytestmark = pytest.mark.timeout(120)


@pytest.fixture
def halfway(scene) -> str:
    """A gate under way on half of the fleet."""
    migration_id = scene.begin()
    scene.start_gate(migration_id, "cutover-50")
    return migration_id


@pytest.fixture
def brief_streams(monkeypatch) -> None:
    """Streams that end after a second, as they do after five minutes; the page comes back."""
    monkeypatch.setattr("feed_migration.console.live.STREAM_SECONDS", 1.0)


def log_in(page: Page, scene, name: str, role: str) -> None:
    """Another login in the same browser, in another tab, say."""
    cookie = {"name": "_token", "value": scene.token(name, role), "url": scene.airflow_url}
    page.context.add_cookies([cookie])


def way_back(page: Page):
    return page.get_by_role("button", name="Roll back …")


@contextmanager
def changed_hands(browser, scene, name: str, role: str) -> Iterator[Page]:
    """The live page of ann, an administrator, in a browser where another one has logged in."""
    with opened(browser, scene, name="ann", role="admin") as page:
        expect(page.locator("#live")).to_have_text("live")
        log_in(page, scene, name, role)
        yield page


@pytest.mark.usefixtures("halfway", "brief_streams")
def test_another_login_is_noticed_when_the_stream_comes_back(browser, scene):
    """What was open to the one is not to the other, and nobody has to press reload."""
    with opened(browser, scene, name="ann", role="admin") as page:
        expect(way_back(page)).to_have_attribute("aria-disabled", "false")
        log_in(page, scene, "vic", "viewer")
        expect(way_back(page)).to_have_attribute("title", "vic may not do this in Airflow")
        log_in(page, scene, "bob", "user")
        expect(way_back(page)).to_have_attribute("aria-disabled", "false")


@pytest.mark.usefixtures("halfway")
def test_a_dialog_names_who_is_logged_in_now(browser, scene):
    """The stream may go on for minutes under the login that it began with."""
    with changed_hands(browser, scene, "bob", "user") as page:
        way_back(page).click()
        dialog = page.get_by_role("dialog")
        expect(dialog).to_contain_text("Recorded under the name bob.")


@pytest.mark.usefixtures("halfway")
def test_an_open_dialog_says_when_the_new_login_may_not_do_it(browser, scene):
    """Before a reason is typed in vain."""
    with changed_hands(browser, scene, "vic", "viewer") as page:
        way_back(page).click()
        told = page.get_by_role("dialog").get_by_role("alert")
        expect(told).to_have_text("vic may not do this in Airflow")


@pytest.mark.usefixtures("halfway")
def test_the_way_back_is_open_to_whom_the_page_does_not_know(browser, scene):
    """One answer of Airflow that fails must not cost the fleet its way back: the server decides."""
    sync_dags()
    before = len(airflow_log("trigger_dag_run"))
    with opened(browser, scene, name="bob", role="user") as page:
        page.route("**/api/me", lambda route: route.abort())
        page.reload()
        expect(page.locator("#track li").first).to_be_visible()
        expect(way_back(page)).to_have_attribute("aria-disabled", "false")
        way_back(page).click()
        dialog = page.get_by_role("dialog", name="Roll back?")
        expect(dialog).to_contain_text("Recorded under the name that you are logged in with.")
        dialog.get_by_label("Reason").fill("the venue is odd")
        dialog.get_by_role("button", name="Roll back").click()
        expect(page.locator("#trouble")).to_contain_text("asked of Airflow: backpack_rollback")
    assert len(airflow_log("trigger_dag_run")) == before + 1
    assert airflow_log("trigger_dag_run")[0][0] == "bob"


@pytest.mark.usefixtures("halfway")
def test_who_looks_is_asked_until_airflow_says(browser, scene):
    """And what the server refuses is told in the dialog, as always."""
    with opened(browser, scene, name="vic", role="viewer") as page:
        page.route("**/api/me", lambda route: route.fulfill(status=500, body="no"))
        page.reload()
        expect(page.locator("#track li").first).to_be_visible()
        way_back(page).click()
        dialog = page.get_by_role("dialog", name="Roll back?")
        dialog.get_by_label("Reason").fill("the venue is odd")
        dialog.get_by_role("button", name="Roll back").click()
        expect(dialog.get_by_role("alert")).to_contain_text("Refused (403)")
        dialog.get_by_role("button", name="Cancel").click()
        page.unroute("**/api/me")
        expect(way_back(page)).to_have_attribute("title", "vic may not do this in Airflow")
        # the filter of the log has its kinds from the same answer
        page.get_by_role("combobox", name="Event").select_option("audit_note")


@pytest.mark.usefixtures("halfway")
def test_the_way_back_is_open_while_the_journal_cannot_be_read(browser, scene):
    """Its dialog cannot say how many instances are on native, and says that."""
    with opened(browser, scene, name="bob", role="user") as page:
        page.route("**/api/live", lambda route: route.abort())
        page.reload()
        expect(way_back(page)).to_have_attribute("aria-disabled", "false")
        expect(page.get_by_role("button", name="Hold …")).to_have_attribute(
            "title", "the migration has not been read yet"
        )
        way_back(page).click()
        dialog = page.get_by_role("dialog", name="Roll back?")
        expect(dialog).to_contain_text("Every instance is put back on the ccxt feed")
        expect(dialog).to_contain_text("has not been read")
        expect(dialog.get_by_label("Reason")).to_be_focused()
