"""The guard and the incident page: it is written when it can be, and no round waits for that."""

import fcntl

import pytest

from feed_migration.events import EventKind
from feed_migration.guard.reverting import DOCUMENT_SECONDS
from feed_migration.phases import Status
from feed_migration.report.pages import document_incident
from tests.support.guard_stage import STEP, Stage
from tests.support.migration_plans import gate


@pytest.fixture
def stage(tmp_path, monkeypatch):
    """Half of the fleet is exposed, and its gate says Rollback."""
    stage = Stage(tmp_path)
    stage.goes_to(STEP)
    gate(stage.journal, stage.migration_id, STEP, "Rollback")
    monkeypatch.setattr("feed_migration.guard.reverting.open_fleet", lambda _: stage.fleet)
    return stage


@pytest.fixture
def page(stage):
    page = stage.deployment.incidents_file
    page.parent.mkdir(parents=True, exist_ok=True)
    return page


def documented(stage):
    return len(stage.journal.events(stage.migration_id, EventKind.INCIDENT_DOCUMENTED))


# the bound on its own is two seconds
@pytest.mark.timeout(30)
def test_a_page_that_a_stopped_process_holds_ends_no_round_late_and_is_written_later(
    stage, page, caplog
):
    """The fleet is back all the same; told of once, and tried again once in a while."""
    guard = stage.guard()
    with page.open("a+") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        guard.poll()
        assert stage.journal.state(stage.migration_id).status is Status.ROLLED_BACK
        for _ in range(20):
            stage.clock.passes(0.5)
            guard.poll()
        stage.clock.passes(DOCUMENT_SECONDS)
        guard.poll()
        assert caplog.text.count("another process holds it") == 1
        assert page.read_text() == ""
    stage.clock.passes(DOCUMENT_SECONDS)
    guard.poll()
    assert f"<!-- incident {stage.migration_id}" in page.read_text()
    assert documented(stage) == 1


def test_a_page_that_somebody_else_has_written_meanwhile_is_left_alone(stage, page):
    """Airflow's own task came first; one rollback is one section."""
    guard = stage.guard()
    page.mkdir()
    guard.poll()
    page.rmdir()
    document_incident(stage.deployment, stage.journal, stage.migration_id, "ana")
    stage.clock.passes(DOCUMENT_SECONDS)
    guard.poll()
    assert page.read_text().count(f"<!-- incident {stage.migration_id}") == 1
    assert documented(stage) == 1
