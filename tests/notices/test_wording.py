"""What is told of a migration: one notice per event, the reason first, whoever repeats the event."""

import pytest

from feed_migration.addresses import Addresses
from feed_migration.journal.store import Journal
from feed_migration.notices.notice import Kind, Notice, html_text, plain_text, slack_text
from feed_migration.notices.wording import notices_of
from tests.support.memory_fleet import MemoryFleet
from tests.support.migration_plans import begin, breach, gate, pass_steps

ADDRESSES = Addresses(
    airflow="http://airflow", prometheus="http://prometheus", grafana="http://grafana/d/x"
)


@pytest.fixture
def journal(tmp_path):
    return Journal(tmp_path / "journal.db")


def told(journal, migration_id):
    return notices_of(journal.events(migration_id), ADDRESSES)


def test_each_step_that_begins_is_told_once(journal):
    """A gate's run begins the step that its act began already; that is no second message."""
    migration_id = begin(journal)
    pass_steps(journal, MemoryFleet(), migration_id, until="cutover-50")
    titles = [notice.title for notice in told(journal, migration_id)]
    assert titles == ["Migration begun", "shadow begins", "cutover-10 begins"]


def test_a_rollback_is_told_with_its_reason_first_and_the_proof_of_its_end(journal):
    """Somebody who reads the first line at night knows what happened."""
    from feed_migration import rollback

    fleet = MemoryFleet()
    migration_id = breach(journal, fleet)
    why = "gate cutover-50: stale was 61 s"
    rollback.revert(fleet, journal, migration_id, "guard:here", why)
    rollback.revert(fleet, journal, migration_id, "airflow", "again")
    rollback.verify(fleet, journal, migration_id, "airflow")
    rollback.verify(fleet, journal, migration_id, "guard:here")
    begun, back = told(journal, migration_id)[-2:]
    assert plain_text(begun).splitlines()[0] == f"ROLLBACK: {why}"
    assert "guard:here" in begun.facts[0]
    assert (begun.key, back.key) == ("rollback 1", "rolled back 1")
    assert "all 10 instances" in back.reason


def test_a_rollback_by_hand_counts_from_when_it_was_asked_for(journal):
    """There was no breach; where there was one, the seconds count from it."""
    from feed_migration import rollback

    fleet, migration_id = MemoryFleet(), begin(journal)
    pass_steps(journal, fleet, migration_id, until="cutover-50")
    rollback.revert(fleet, journal, migration_id, "ann", "consumers complain")
    rollback.verify(fleet, journal, migration_id, "ann")
    assert told(journal, migration_id)[-1].reason.endswith("s after it began")
    fleet = MemoryFleet()
    migration_id = breach(journal, fleet)
    rollback.revert(fleet, journal, migration_id, "ann", "gate cutover-50: stale was 61 s")
    rollback.verify(fleet, journal, migration_id, "ann")
    assert told(journal, migration_id)[-1].reason.endswith("s after the breach")


def test_a_rollback_leads_to_the_run_that_does_it(journal):
    """Not to the migration's own, which has ended or is about to fail."""
    from feed_migration import rollback

    fleet, migration_id = MemoryFleet(), begin(journal)
    joined = {"note": "joined", "turn": 1, "dag_id": "backpack_migration", "run_id": "m"}
    journal.note(migration_id, "ann", joined, once="turn")
    pass_steps(journal, fleet, migration_id, until="cutover-50")
    note = {"note": "way_back", "id": "w", "dag_id": "backpack_rollback", "run_id": "r"}
    journal.note(migration_id, "ann", note, once="id")
    rollback.revert(fleet, journal, migration_id, "ann", "consumers complain")
    rollback.verify(fleet, journal, migration_id, "ann")
    runs = [dict(notice.links)["DAG run"] for notice in told(journal, migration_id)[1:]]
    assert runs[-3:] == [
        "http://airflow/dags/backpack_migration/runs/m",
        "http://airflow/dags/backpack_rollback/runs/r",
        "http://airflow/dags/backpack_rollback/runs/r",
    ]


@pytest.mark.parametrize(
    ("seconds", "says"), [(509.0, "8 min after"), (7000.0, "117 min after"), (90000.0, "25.0 h")]
)
def test_the_end_says_how_long_it_took(tmp_path, seconds, says):
    """In minutes below two hours."""
    now = [1_790_000_000.0]
    journal = Journal(tmp_path / "journal.db", clock=lambda: now[0])
    migration_id = begin(journal)
    pass_steps(journal, MemoryFleet(), migration_id, until="the end")
    now[0] += seconds
    body = {"outcome": "promoted"}
    journal.append("migration_finished", migration_id=migration_id, actor="ana", body=body)
    assert says in told(journal, migration_id)[-1].reason


def test_a_hold_is_told_once_and_leads_to_the_queries_at_fault(journal):
    """A gate's task that is killed behind its event writes the hold again."""
    migration_id = begin(journal)
    pass_steps(journal, MemoryFleet(), migration_id, until="cutover-50")
    gate(journal, migration_id, "cutover-10", "Hold", run="2")
    for _ in range(2):
        body = {"step": "cutover-10", "reason": "Hold at 9 s: stale was 61 s"}
        journal.append("held", migration_id=migration_id, actor="gate", body=body)
    (held,) = [notice for notice in told(journal, migration_id) if notice.kind is Kind.HELD]
    assert held.headline == "HELD at cutover-10: Hold at 9 s: stale was 61 s"
    links = dict(held.links)
    assert links["stale"].startswith("http://prometheus/graph?g0.expr=max+by")
    assert links["console"] == "http://airflow/plugin/backpack-migration"
    assert links["dashboard"] == "http://grafana/d/x"


def test_a_hold_that_ends_is_told_as_going_on(journal):
    """Who was told of the hold hears who ended it."""
    migration_id = begin(journal)
    pass_steps(journal, MemoryFleet(), migration_id, until="cutover-10")
    gate(journal, migration_id, "cutover-10", "Hold")
    body = {"step": "cutover-10", "reason": "blind"}
    journal.append("held", migration_id=migration_id, actor="gate", body=body)
    body = {"step": "cutover-10", "run": "2", "key": "k", "started_unix": 1.0}
    journal.append("step_started", migration_id=migration_id, actor="bea", body=body)
    last = told(journal, migration_id)[-1]
    assert last.headline == "cutover-10 goes on: by bea, it was held: blind"


def test_a_question_leads_to_the_page_that_answers_it(journal):
    """Run ids have signs that a URL must not have."""
    migration_id = begin(journal)
    body = {
        "note": "approval_asked",
        "id": "cutover-50/k",
        "step": "cutover-50",
        "until": 1_790_000_000.0,
        "approvers": ["ann", "bob"],
        "summary": "Promote at 9 s",
        "dag_id": "backpack_migration",
        "run_id": "manual__2026-10-02T10:15:30+00:00",
        "task_id": "cutover_50.approval",
    }
    assert journal.note(migration_id, "ann", body, once="id")
    assert not journal.note(migration_id, "ann", body, once="id")
    asked = told(journal, migration_id)[-1]
    assert asked.key == "approval cutover-50/k"
    assert "ann, bob" in asked.facts[0]
    assert dict(asked.links)["answer"] == (
        "http://airflow/dags/backpack_migration/runs/manual__2026-10-02T10%3A15%3A30%2B00%3A00"
        "/tasks/cutover_50.approval/required_actions?map_index=-1"
    )


def test_what_the_fold_ignores_is_not_told(journal):
    """A promotion without proof, or a hold after the end, did not happen."""
    migration_id = begin(journal)
    journal.append(
        "migration_finished", migration_id=migration_id, actor="x", body={"outcome": "promoted"}
    )
    assert [notice.kind for notice in told(journal, migration_id)] == [Kind.STARTED]


HOSTILE = Notice(
    migration_id="mig-1",
    key="k",
    kind=Kind.HELD,
    at=0.0,
    title="HELD",
    reason="<!channel> <script>alert(1)</script>\r\nBcc: all@example.com password=hunter2secret",
)


def test_a_reason_from_outside_mentions_nobody_and_starts_no_markup():
    """An error text of the venue is a guest in the message."""
    assert "<!channel>" not in slack_text(HOSTILE)
    assert "<script>" not in html_text(HOSTILE)
    assert "\n" not in HOSTILE.headline
    assert "\r" not in HOSTILE.headline
    for text in (slack_text(HOSTILE), html_text(HOSTILE), plain_text(HOSTILE)):
        assert "hunter2secret" not in text


def test_an_instance_that_cannot_be_proven_is_told_with_what_to_do(journal):
    """Until the proof: told later, it would only confuse."""
    from feed_migration import rollback
    from feed_migration.errors import ExposedUnlisted

    fleet = MemoryFleet()
    migration_id = breach(journal, fleet)
    fleet.forgotten.add("feed-99")
    body = {"act": "set_variant", "variant": "native", "instances": ["feed-99"], "step": "x"}
    journal.append("act_intended", migration_id=migration_id, actor="ann", body=body)
    rollback.revert(fleet, journal, migration_id, "guard:here", "stale")
    with pytest.raises(ExposedUnlisted):
        rollback.verify(fleet, journal, migration_id, "guard:here")
    notice = told(journal, migration_id)[-1]
    assert (notice.kind, notice.title) == (Kind.ROLLBACK, "NOT PROVEN ON CCXT")
    assert "feed-99: was exposed, still is there" in notice.reason
    assert any("deployment.yaml" in fact for fact in notice.facts)
    fleet.forgotten.clear()
    rollback.verify(fleet, journal, migration_id, "guard:here")
    *_, notice, back = told(journal, migration_id)
    assert notice.until == back.at
    assert "feed-99 is not there any more" in back.facts[0]
