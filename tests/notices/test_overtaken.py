"""What is told late is still true: dropped where it would confuse, else it says what came since."""

import math
import time

import pytest

from feed_migration import rollback
from feed_migration.addresses import Addresses
from feed_migration.journal.store import Journal
from feed_migration.notices.notice import Kind, plain_text
from feed_migration.notices.overtaken import BEGUN_SECONDS
from feed_migration.notices.wording import notices_of
from tests.support.memory_fleet import MemoryFleet
from tests.support.migration_plans import approve, begin, breach, gate, pass_steps

ADDRESSES = Addresses(airflow="http://airflow", prometheus="http://prometheus")


@pytest.fixture
def journal(tmp_path):
    return Journal(tmp_path / "journal.db")


def told(journal, migration_id, kind):
    events = journal.events(migration_id)
    return [notice for notice in notices_of(events, ADDRESSES) if notice.kind is kind]


def ask(journal, migration_id, step, number=0):
    note = {"note": "approval_asked", "id": f"{step}/{number}", "step": step, "until": math.inf}
    journal.note(migration_id, "ana", note, once="id")


def hold(journal, migration_id, step):
    gate(journal, migration_id, step, "Hold")
    body = {"step": step, "reason": "odd book"}
    journal.append("held", migration_id=migration_id, actor="ann", body=body)


@pytest.mark.parametrize("decision", ["Approve", "Reject"])
def test_nobody_is_asked_after_the_answer(journal, decision):
    """Whatever it was."""
    migration_id = begin(journal)
    pass_steps(journal, MemoryFleet(), migration_id, until="cutover-50")
    ask(journal, migration_id, "cutover-50")
    assert told(journal, migration_id, Kind.APPROVAL)[0].until == math.inf
    approve(journal, migration_id, "cutover-50", decision)
    assert told(journal, migration_id, Kind.APPROVAL)[0].until <= time.time()


def test_of_a_question_that_is_asked_anew_the_last_is_told(journal):
    """The page of the first is gone."""
    migration_id = begin(journal)
    pass_steps(journal, MemoryFleet(), migration_id, until="cutover-50")
    ask(journal, migration_id, "cutover-50")
    ask(journal, migration_id, "cutover-50", 1)
    first, second = told(journal, migration_id, Kind.APPROVAL)
    assert first.until <= time.time() < second.until


def test_nobody_is_asked_while_the_fleet_goes_back(journal):
    """The question has gone with the migration."""
    fleet = MemoryFleet()
    migration_id = begin(journal)
    pass_steps(journal, fleet, migration_id, until="cutover-50")
    ask(journal, migration_id, "cutover-50")
    rollback.revert(fleet, journal, migration_id, "ann", "consumers complain")
    assert told(journal, migration_id, Kind.APPROVAL)[0].until <= time.time()


def test_a_hold_that_is_told_after_it_was_resumed_says_so(journal):
    """Who reads it need not get up."""
    migration_id = begin(journal)
    pass_steps(journal, MemoryFleet(), migration_id, until="cutover-50")
    gate(journal, migration_id, "cutover-10", run="2")
    hold(journal, migration_id, "cutover-10")
    assert told(journal, migration_id, Kind.HELD)[0].title == "HELD at cutover-10"
    body = {"step": "cutover-10", "run": "3"}
    journal.append("step_started", migration_id=migration_id, actor="bea", body=body)
    (held,) = told(journal, migration_id, Kind.HELD)
    assert held.headline == "WAS HELD at cutover-10, resumed since: odd book"
    assert "bea" in plain_text(held)
    assert "stay on native" not in plain_text(held)


def test_a_hold_that_is_told_after_the_way_back_says_so(journal):
    """Nothing is on native any more that anybody could look at."""
    fleet, migration_id = MemoryFleet(), begin(journal)
    pass_steps(journal, fleet, migration_id, until="cutover-50")
    gate(journal, migration_id, "cutover-10", run="2")
    hold(journal, migration_id, "cutover-10")
    rollback.revert(fleet, journal, migration_id, "ann", "consumers complain")
    (held,) = told(journal, migration_id, Kind.HELD)
    assert held.title == "WAS HELD at cutover-10, taken back since"


def test_a_beginning_is_no_news_once_the_step_is_over(journal):
    """But for a step that is over within seconds: that it began is told all the same."""
    migration_id = begin(journal)
    pass_steps(journal, MemoryFleet(), migration_id, until="cutover-50")
    now = time.time()
    begun, shadow, cutover = told(journal, migration_id, Kind.STARTED)
    for notice in (begun, shadow, cutover):
        assert now < notice.until <= now + BEGUN_SECONDS, notice
    body = {"step": "cutover-50", "run": "1"}
    journal.append("step_started", migration_id=migration_id, actor="ana", body=body)
    assert told(journal, migration_id, Kind.STARTED)[-1].until == math.inf


def test_a_rollback_that_is_told_after_its_end_asks_nobody_to_wait(journal):
    """That it happened is told in any case."""
    fleet = MemoryFleet()
    migration_id = breach(journal, fleet)
    rollback.revert(fleet, journal, migration_id, "ann", "consumers complain")
    assert "Wait for" in plain_text(told(journal, migration_id, Kind.ROLLBACK)[0])
    rollback.verify(fleet, journal, migration_id, "ann")
    (begun,) = told(journal, migration_id, Kind.ROLLBACK)
    assert "Wait for" not in plain_text(begun)
    assert "verified since" in plain_text(begun)
    assert begun.until == math.inf
