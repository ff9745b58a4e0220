"""Where a migration is and what it waits for, at a shell."""

import json

import pytest

from feed_migration.journal.store import Journal
from tests.cli.shell import RUN, invoke, ticking, write_deployment
from tests.support.memory_fleet import MemoryFleet
from tests.support.migration_plans import begin, pass_steps

GOLDEN_STATUS = """\
migration    mig-0001-20261002T001321Z
status       held
plan         small
phase, step  cutover, cutover-50
promoted     preflight, shadow, cutover-10
waits for    cutover-50 is held, a person decides: coverage 0.80 is below 0.95
started      2026-10-02 00:13:23 UTC
guard        not asked: deployment.yaml names no guard_url

feed-00      unknown           0 messages  not ready: does not listen, supervisord \
does not answer

next: backpack-migrate resume
next: backpack-migrate rollback
"""


def test_status_shows_where_the_migration_is(capsys, migrated):
    """Golden output: facts first, then every instance."""
    assert invoke(capsys, "status") == (0, GOLDEN_STATUS, "")


def test_status_as_json_has_the_same_facts(capsys, migrated):
    """For the demo's progress and for scripts."""
    code, out, _ = invoke(capsys, "status", "--json")
    status = json.loads(out)
    assert code == 0
    assert (status["status"], status["step"], status["epoch"]) == ("held", "cutover-50", 1)
    assert status["exposed"] == ["feed-00"]
    assert status["instances"][0]["variant"] == "unknown"


def test_status_says_who_watches_what_is_exposed(capsys, home):
    """While a running migration is exposed; a hold needs nobody to watch it."""
    journal = Journal(home / "journal.db", clock=ticking())
    pass_steps(journal, MemoryFleet(), begin(journal), until="cutover-50")
    _, out, _ = invoke(capsys, "status")
    assert "watched by   handover cutover-10, until 2026-10-02 00:2" in out
    _, out, _ = invoke(capsys, "status", "--json")
    lease = json.loads(out)["lease"]
    assert lease["expires_at"] == journal.lease(journal.latest_migration()).expires_at


def asks(journal, step, *names):
    """A task of Airflow that asks for an approval, as the journal has it."""
    note = {"note": "approval_asked", "step": step, "approvers": list(names)}
    migration_id = journal.latest_migration()
    journal.append("audit_note", migration_id=migration_id, actor="ana", body=note)
    journal.renew_lease(migration_id, holder=f"approval {step}", seconds=7200.0)


def test_status_says_who_may_answer(capsys, home):
    """Out of the journal, with Airflow down: on call one wants to know whom to wake."""
    journal = Journal(home / "journal.db", clock=ticking())
    pass_steps(journal, MemoryFleet(), begin(journal), until="cutover-50")
    asks(journal, "cutover-10", "eve")
    asks(journal, "cutover-50", "Kim (risk)", "bo")
    assert "cutover-50 waits for an approval by Kim (risk) or bo; none by" in waits_for(capsys)[1]
    assert "waits for    cutover-50 waits for an approval by Kim" in invoke(capsys, "status")[1]
    status = json.loads(invoke(capsys, "status", "--json")[1])
    assert status["waits_for"]["may_answer"] == ["Kim (risk)", "bo"]


def test_where_the_plan_names_nobody_status_names_nobody(capsys, home):
    """Whoever may act in Airflow may answer."""
    journal = Journal(home / "journal.db", clock=ticking())
    pass_steps(journal, MemoryFleet(), begin(journal), until="cutover-50")
    asks(journal, "cutover-50")
    assert "cutover-50 waits for an approval; none by" in waits_for(capsys)[1]
    status = json.loads(invoke(capsys, "status", "--json")[1])
    assert status["waits_for"]["may_answer"] == []


def test_status_before_the_first_migration_is_no_error(capsys, home):
    """Nothing has happened, and that is the answer."""
    code, out, _ = invoke(capsys, "status")
    assert code == 0
    assert out.startswith("migration    none yet\nstatus       absent\n")


def joined(home, dag_id="backpack_migration"):
    """A migration of which a DAG run has done the preflight and no more."""
    journal = Journal(home / "journal.db")
    migration_id = begin(journal)
    note = {"note": "joined", "turn": 1, "dag_id": dag_id, "run_id": RUN}
    journal.append("audit_note", migration_id=migration_id, actor="ana", body=note)
    body = {"step": "preflight", "run": "1"}
    journal.append("step_promoted", migration_id=migration_id, actor="ana", body=body)
    return journal


def waits_for(capsys):
    status = json.loads(invoke(capsys, "status", "--json")[1])
    return status["waits_for"]["kind"], status["waits_for"]["text"], status["next"]


def test_status_says_that_the_driving_dag_run_has_failed(capsys, home, airflow):
    """With what to do; nothing of Airflow comes any more, however long one watches."""
    joined(home)
    kind, text, what_next = waits_for(capsys)
    assert kind == "person"
    assert text == (
        f"its DAG run backpack_migration {RUN} has ended failed: see in Airflow which task failed, "
        "mend that, then clear it with what follows, or start backpack_migration (it goes on from "
        "here), or roll back"
    )
    assert what_next == ["backpack-migrate start", "backpack-migrate rollback"]


@pytest.mark.parametrize(
    ("dag_id", "starts"),
    [("backpack_migration", "backpack_migration"), ("backpack_dry_run", "backpack_shadow")],
)
def test_status_says_which_dag_goes_on_behind_a_run_that_succeeded(
    capsys, home, airflow, dag_id, starts
):
    """Marked so by hand, or the next phase is a person's to start."""
    airflow.run_states = ["success"]
    joined(home, dag_id)
    kind, text, what_next = waits_for(capsys)
    assert kind == "person"
    said = f"its DAG run {dag_id} {RUN} has ended success: start {starts} (it goes on from here)"
    assert text.startswith(said)
    assert ("backpack-migrate start" in what_next) == (starts == "backpack_migration")


def test_status_waits_for_a_dag_run_that_goes_on(capsys, home, airflow):
    """Also one of which Airflow knows nothing, where it is not there, or has no password of ours."""
    as_ever = ("task", "Airflow's next task after the start")
    joined(home)
    airflow.run_states = ["running"]
    assert waits_for(capsys)[:2] == as_ever
    airflow.run_states = ["failed"]
    airflow.refuses["GET"] = (200, "is this Airflow?")
    assert waits_for(capsys)[:2] == as_ever
    airflow.lacks = RUN
    assert waits_for(capsys)[:2] == as_ever
    airflow.password = "another"
    assert waits_for(capsys)[:2] == as_ever
    write_deployment(home)
    code, out, err = invoke(capsys, "status", "--json")
    assert (code, err) == (0, "")
    assert json.loads(out)["waits_for"]["kind"] == "task"


def test_a_dag_run_that_tells_its_end_while_it_is_asked_is_believed(
    capsys, home, airflow, monkeypatch
):
    """Its last tasks have told the journal before Airflow calls it failed."""
    journal, said = joined(home), airflow.answer

    def told(method, path, *more):
        if RUN in path:
            who = {"migration_id": journal.latest_migration(), "actor": "ana"}
            journal.append("rollback_started", body={"reason": "odd", "epoch": 2}, **who)
            journal.append("rollback_verified", body={"instances": {"feed-00": "ccxt"}}, **who)
        return said(method, path, *more)

    monkeypatch.setattr(airflow, "answer", told)
    status = json.loads(invoke(capsys, "status", "--json")[1])
    assert (status["status"], status["waits_for"]["text"]) == ("rolled_back", "")
