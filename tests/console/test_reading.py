"""How the console follows a journal and a board its feeders: only what is new, and never a lie."""

import time
from dataclasses import replace

import pytest
import yaml

from feed_migration.addresses import Addresses
from feed_migration.console.board import Board, Feeder
from feed_migration.console.feeders import Sources
from feed_migration.console.gate_view import POINTS
from feed_migration.console.journal_reading import JournalReading
from feed_migration.console.view import PendingApproval
from feed_migration.errors import JournalUnavailable, PlanChanged
from feed_migration.journal.pages import EventFilter, PagedJournal
from feed_migration.lease import end_holder
from feed_migration.model import Measurement, Outcome
from tests.support.conditions import eventually_sync
from tests.support.memory_fleet import MemoryFleet
from tests.support.migration_plans import PLAN, begin, pass_steps

STARTED = {"step": "shadow", "run": "1", "key": "backpack_migration/r1#0", "started_unix": 50.0}


@pytest.fixture
def journal(tmp_path):
    return PagedJournal(tmp_path / "journal.db")


def reading_of(journal, plan=lambda: PLAN):
    return JournalReading(journal, plan, lambda: ())


def at_gate(journal):
    migration_id = begin(journal)
    who = {"migration_id": migration_id, "actor": "ana"}
    journal.append("step_promoted", body={"step": "preflight"}, **who)
    journal.append("step_started", body=STARTED, **who)
    return migration_id


ASKED = PendingApproval(
    dag_id="backpack_migration", run_id="r1", task_id="cutover_10.approval", map_index=-1,
    subject="Start?", body="**Markdown**", asked_at=5.0,
)  # fmt: skip


def measured(tick, outcome=Outcome.SUCCESS):
    return Measurement(
        criterion="stale", tick_seconds=float(tick), outcome=outcome, counts_as=outcome, value=1.0
    )


def test_each_look_adds_what_is_new(journal):
    """The state is the same as that of a fold from the beginning."""
    reading = reading_of(journal)
    assert reading.sections()["migration"]["id"] is None
    migration_id = begin(journal)
    fleet = MemoryFleet()
    for until in ("shadow", "cutover-10", "cutover-100"):
        journal.append("audit_note", migration_id=migration_id, actor="ana", body={"at": until})
        reading.sections()
    pass_steps(journal, fleet, migration_id, until="cutover-50")
    reading.sections()
    assert reading.state == journal.state(migration_id)


def test_a_gate_that_has_ended_is_shown_with_its_verdict(journal):
    """While the next step moves, and after the end: what it came to is why things went on."""
    reading = reading_of(journal)
    migration_id = at_gate(journal)
    journal.record(migration_id, "shadow", [measured(0)])
    assert reading.sections()["gate"]["verdict"] is None
    verdict = {"step": "shadow", "run": "1", "decision": "Promote", "at_seconds": 62.0}
    later = [("verdict", verdict), ("step_promoted", {"step": "shadow"}),
             ("step_started", {"step": "cutover-10", "run": "1"})]  # fmt: skip
    for kind, body in later:
        journal.append(kind, migration_id=migration_id, actor="ana", body=body)
        gate = reading.sections()["gate"]
        assert gate["step"] == "shadow"
        assert gate["verdict"]["line"].startswith("Promote after 62 s, 1 criterion, all Success")
    # acts still mean the step's own gate, which has not begun
    assert reading.gate_facts() is None


def test_an_approval_comes_with_the_rows_of_the_last_gate(journal):
    """As values, so that the page builds elements and no markup out of a string."""
    addresses = Addresses(airflow="http://a", prometheus="http://p")
    reading = JournalReading(journal, lambda: PLAN, lambda: (ASKED,), addresses)
    migration_id = at_gate(journal)
    (approval,) = reading.sections()["migration"]["approvals"]
    assert approval["evidence"] is None
    journal.record(migration_id, "shadow", [replace(measured(0), query="up", threshold="t")])
    body = {"step": "shadow", "run": "1", "decision": "Promote", "at_seconds": 62.0}
    journal.append("verdict", migration_id=migration_id, actor="ana", body=body)
    (approval,) = reading.sections()["migration"]["approvals"]
    (row,) = approval["evidence"]["rows"]
    assert (row["criterion"], row["value"], row["outcome"]) == ("stale", "1", "Success")
    assert row["link"].startswith("http://p/graph?g0.expr=up")


def test_links_of_the_evidence_lead_to_where_browsers_come(journal, tmp_path):
    """The deployment says where; its own programs ask Prometheus by another name."""
    document = {
        "prometheus_url": "http://prometheus:9090",
        "public": {"prometheus_url": "https://prometheus.example.com"},
        "instances": [{"id": "feed-00", "url": "http://fleet:9601"}],
    }
    (tmp_path / "deployment.yaml").write_text(yaml.safe_dump(document))
    sources = Sources(
        home=tmp_path,
        read_plan=lambda: PLAN,
        open_journal=lambda _: journal,
        pending=lambda: (ASKED,),
        plan_path=tmp_path / "plan.yaml",
    )
    migration_id = at_gate(journal)
    journal.record(migration_id, "shadow", [replace(measured(0), query="up", threshold="t")])
    body = {"step": "shadow", "run": "1", "decision": "Promote", "at_seconds": 62.0}
    journal.append("verdict", migration_id=migration_id, actor="ana", body=body)
    (approval,) = sources.reading().sections()["migration"]["approvals"]
    (row,) = approval["evidence"]["rows"]
    assert row["link"].startswith("https://prometheus.example.com/graph?g0.expr=up")


def test_only_the_run_that_drives_the_migration_asks_about_it(journal):
    """The question of the one before may stand yet: its answer must not seem to be this one's."""
    asked = [
        PendingApproval(
            dag_id="backpack_migration", run_id=run, task_id="cutover_10.approval", map_index=-1,
            subject="Start?", body="", asked_at=5.0,
        )
        for run in ("r1", "r2")
    ]  # fmt: skip
    reading = JournalReading(journal, lambda: PLAN, lambda: asked)
    migration_id = at_gate(journal)

    def shown() -> list[str]:
        return [one["run_id"] for one in reading.sections()["migration"]["approvals"]]

    for turn, run in enumerate(("r1", "r2"), 1):
        note = {"note": "joined", "turn": turn, "dag_id": "backpack_migration", "run_id": run}
        journal.append("audit_note", migration_id=migration_id, actor="ana", body=note)
        assert shown() == [run]


def test_once_the_next_phase_is_started_nobody_is_waited_for(journal):
    """While its run asks consumers the lease is still that of the one before."""
    reading, migration_id = reading_of(journal), at_gate(journal)
    journal.renew_lease(migration_id, holder=end_holder("backpack_dry_run"), seconds=60.0)

    def joined(turn: int, dag_id: str) -> str:
        note = {"note": "joined", "turn": turn, "dag_id": dag_id, "run_id": "r1"}
        journal.append("audit_note", migration_id=migration_id, actor="ana", body=note)
        return str(reading.sections()["migration"]["why"])

    assert joined(1, "backpack_dry_run").endswith("shadow waits for a person to start its DAG.")
    assert joined(2, "backpack_shadow") == "The gate of shadow watches until it has proof."


def test_the_next_migration_replaces_the_one_before(journal):
    """A new migration begins with an empty track, whatever the last one came to."""
    reading = reading_of(journal)
    first = at_gate(journal)
    assert reading.sections()["migration"]["step"] == "shadow"
    body = {"instances": {}, "breach_at": 1.0, "breach_to_rollback_seconds": 1.0}
    for kind, more in (
        ("rollback_started", {"reason": "odd", "epoch": 2}),
        ("rollback_verified", body),
    ):
        journal.append(kind, migration_id=first, actor="ana", body=more)
    second = begin(journal)
    view = reading.sections()
    assert (view["migration"]["id"], view["migration"]["step"]) == (second, None)
    assert view["gate"]["criteria"] == []


def test_late_measurements_are_found(journal):
    """A second sample is written after ticks that came later."""
    migration_id = at_gate(journal)
    reading = reading_of(journal)
    journal.record(migration_id, "shadow", [measured(0), measured(2)])
    reading.sections()
    journal.record(migration_id, "shadow", [measured(1, Outcome.FAILURE)])
    (criterion,) = reading.sections()["gate"]["criteria"]
    assert [outcome for _, _, outcome in criterion["points"]] == ["Success", "Failure", "Success"]


def test_a_long_gate_is_not_kept_whole(journal):
    """Of a day only failures and the newest ticks stay in memory."""
    migration_id = at_gate(journal)
    rows = [
        measured(tick * 60, Outcome.FAILURE if tick == 5 else Outcome.SUCCESS)
        for tick in range(200)
    ]
    journal.record(migration_id, "shadow", rows)
    reading = reading_of(journal)
    for _ in range(2):
        (criterion,) = reading.sections()["gate"]["criteria"]
        assert len(criterion["points"]) == POINTS
    assert len(reading._measured) == POINTS + 1


def test_another_plan_explains_no_gate(journal):
    """Thresholds of a plan that was edited since are not those that are judged by."""
    migration_id = at_gate(journal)
    journal.record(migration_id, "shadow", [measured(0)])

    def gone():
        raise PlanChanged("the plan has changed", "put it back")

    gate = reading_of(journal, gone).sections()["gate"]
    assert gate["min_duration_seconds"] is None
    assert [criterion["name"] for criterion in gate["criteria"]] == ["stale"]


def test_a_body_that_was_tampered_with_is_still_shown(journal):
    """Who looks for the reason of a broken chain must see the event that breaks it."""
    migration_id = begin(journal)
    with journal._database.writing() as connection:
        connection.exec_driver_sql("DROP TRIGGER events_no_update")
        connection.exec_driver_sql("UPDATE events SET body = 'odd'")
    (event,) = journal.search(EventFilter())
    assert (event.migration_id, event.body) == (migration_id, {"unreadable": "odd"})


def board_of(read, clock=lambda: 7.0):
    return Board(feeders=[Feeder(name="part", read=read, pause=lambda _: 0.01)], clock=clock)


def test_a_failing_part_keeps_its_values_and_says_since_when():
    """The page has what was true, and knows that it is old."""
    answers = iter([{"part": 1}])

    def read():
        try:
            return next(answers)
        except StopIteration:
            raise JournalUnavailable("the disk is full", "free it") from None

    board = board_of(read)
    assert board.section("part") == 1
    sources = eventually_sync(lambda: board.section("sources"))
    assert sources == {"part": {"since": 7.0, "error": "the disk is full: free it"}}
    assert board.section("part") == 1


def test_a_closed_board_reads_no_more():
    """Its threads end, and nothing starts them again."""
    board = board_of(lambda: {"part": 1})
    board.section("part")
    board.close()
    assert not any(thread.is_alive() for thread in board._threads.values())


def test_only_changes_have_a_new_version():
    """A page is sent what is new, and a migration that rests sends nothing."""
    values = {"part": 1}
    board = board_of(lambda: dict(values))
    board.section("part")
    version = eventually_sync(lambda: max(s.version for s in board.sections().values()))
    assert board.sections(version) == {}
    values["part"] = 2
    changed = eventually_sync(lambda: board.sections(version))
    assert changed["part"].text == "2"


def test_nothing_is_read_while_nobody_looks(monkeypatch):
    """A console that was opened once must not poll the fleet for ever."""
    monkeypatch.setattr("feed_migration.console.board.IDLE_SECONDS", 0.5)
    reads = []
    board = board_of(lambda: reads.append(time.monotonic()) or {"part": len(reads)})
    board.sections()
    thread = board._threads["part"]
    eventually_sync(lambda: not thread.is_alive())
    count = len(reads)
    assert count > 0
    eventually_sync(lambda: board.sections() is not None and len(reads) > count)


def test_the_run_that_is_asked_after_is_the_one_that_matters(journal):
    """Running, that which drives it; held, that whose gate a Resume would clear."""
    asked = []
    reading = JournalReading(
        journal,
        lambda: PLAN,
        lambda: (),
        run_state=lambda run: asked.append(run.run_id) or "failed",
    )
    migration_id = at_gate(journal)
    note = {"note": "joined", "turn": 1, "dag_id": "backpack_migration", "run_id": "r2"}
    journal.append("audit_note", migration_id=migration_id, actor="ana", body=note)
    why = reading.sections()["migration"]["why"]
    assert why.startswith("Its DAG run backpack_migration r2 has ended failed: see in Airflow")
    journal.append("held", migration_id=migration_id, actor="ana", body={"step": "shadow"})
    assert reading.sections()["migration"]["acts"]["resume"]["possible"]
    assert asked == ["r2", "r1"]
