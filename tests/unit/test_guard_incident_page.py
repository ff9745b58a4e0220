"""The guard and the incident page: it is written when it can be, and no round waits for that."""

import fcntl
import resource
from contextlib import contextmanager

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


@contextmanager
def full_disk(page, room_bytes):
    """No file of this process grows beyond the page and `room_bytes`."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (page.stat().st_size + room_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_disk_that_is_full_in_the_middle_of_a_section_leaves_the_page_as_it_was(stage, page):
    """Its last block has room for the marker; half an incident would count as a whole one."""
    # longer than what else is written, which is to succeed
    before = "# Incidents\n" + "An earlier one.\n" * 500_000
    page.write_text(before)
    guard = stage.guard()
    with full_disk(page, room_bytes=200):
        guard.poll()
        assert stage.journal.state(stage.migration_id).status is Status.ROLLED_BACK
        assert page.read_text() == before
    stage.clock.passes(DOCUMENT_SECONDS)
    guard.poll()
    section = page.read_text().removeprefix(before)
    assert "### Timeline" in section
    assert section.count(f"<!-- incident {stage.migration_id}") == 1
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
