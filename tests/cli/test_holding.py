"""Hold and resume at a shell: what they do, print and refuse, and what others learn of it."""

import json

import pytest
import yaml

from feed_migration import resuming
from feed_migration.dag_run import Driver
from feed_migration.driving import driver_of
from feed_migration.gates.record import join_gate
from feed_migration.phases import Status
from tests.cli.shell import RUN, STEP, invoke, newest
from tests.cli.test_json import documented
from tests.support.memory_fleet import MemoryFleet


def test_hold_ends_the_open_gate_and_says_how_to_go_on(capsys, journal):
    """Under the name of who sits at the shell; no request reaches Airflow."""
    code, out, err = invoke(capsys, "hold", "--reason", "odd book")
    assert (code, err) == (0, "")
    assert out.startswith(f"held {STEP} of mig-0001-")
    assert "on native: 5 instances" in out
    assert "next: backpack-migrate resume" in out
    assert newest(journal).reason == "held by cli:bo: odd book"


def test_hold_needs_no_airflow(capsys, journal, airflow):
    """Not even a password of it."""
    invoke(capsys, "hold")
    assert airflow.requests == []


def test_what_cannot_be_held_is_refused_with_a_remedy(capsys, journal):
    """One line, exit 1; as JSON on stderr where that was asked for."""
    invoke(capsys, "hold", "--reason", "odd book")
    code, out, err = invoke(capsys, "hold")
    assert (code, out) == (1, "")
    assert err.startswith("backpack-migrate: cutover-50 is held already: held by cli:bo: odd book:")
    code, out, err = invoke(capsys, "hold", "--json")
    assert (code, out) == (1, "")
    error = json.loads(err)
    assert error["exit_code"] == 1
    assert error["error"].startswith("cutover-50 is held already")
    assert error["remedy"].startswith("go on with `backpack-migrate resume`")


def test_hold_waits_for_a_gate_that_is_about_to_begin(capsys, journal, monkeypatch):
    """The act is under way when it is asked for; the gate opens meanwhile."""
    migration_id = journal.latest_migration()
    body = {"act": "set_variant", "step": "cutover-100", "variant": "native", "instances": []}
    who = {"migration_id": migration_id, "actor": "ana"}
    journal.append("verdict", body={"step": STEP, "run": "1", "decision": "Promote"}, **who)
    journal.append("step_promoted", body={"step": STEP}, **who)
    journal.append("act_intended", body=body, **who)
    assert invoke(capsys, "hold")[0] == 1
    pauses = []

    def pause(seconds):
        pauses.append(seconds)
        journal.append("act_confirmed", body=body, **who)
        gate = {"migration_id": migration_id, "actor": "ana", "started_unix": 1.0}
        join_gate(journal, step="cutover-100", key="k", **gate)

    monkeypatch.setattr("feed_migration.cli.acts.time.sleep", pause)
    code, out, _ = invoke(capsys, "hold", "--wait", "60")
    assert code == 0
    assert out.startswith("held cutover-100")
    assert len(pauses) == 1


def test_resume_clears_the_held_gate_and_what_comes_after_it(capsys, journal, airflow):
    """As a person does in the UI, once the DAG run of the hold is over, and the journal has who."""
    invoke(capsys, "hold")
    airflow.run_states = ["running", "running", "failed"]
    code, out, err = invoke(capsys, "resume", "--reason", "book is fine")
    assert code == 0
    assert err.count("is still running, waiting for its end") == 1
    assert out.startswith(f"resumed {STEP}, cleared in backpack_migration {RUN}: begin, ")
    assert out.endswith("next: backpack-migrate status --watch\n")
    method, path, body = airflow.requests[-1]
    assert (method, path) == ("POST", "/api/v2/dags/backpack_migration/clearTaskInstances")
    assert (body["dag_run_id"], body["task_ids"]) == (RUN, ["cutover_50.gate"])
    assert (body["include_downstream"], body["only_failed"], body["dry_run"]) == (
        True,
        False,
        False,
    )
    note = journal.events(journal.latest_migration(), "audit_note")[-1]
    assert (note.actor, note.body["note"], note.body["reason"]) == (
        "cli:bo",
        "resumed",
        "book is fine",
    )


def test_resume_where_nothing_is_held_is_refused(capsys, journal, airflow):
    """Whatever Airflow would say: it is not asked."""
    code, _, err = invoke(capsys, "resume")
    assert code == 1
    assert "nothing is held: mig-0001-" in err
    assert "is running at cutover-50" in err
    assert airflow.requests == []


def test_resume_says_what_works_without_airflow(capsys, journal, airflow, tmp_path):
    """Exit 3; the hold stays."""
    invoke(capsys, "hold")
    document = yaml.safe_load((tmp_path / "deployment.yaml").read_text())
    document["airflow"]["url"] = "http://127.0.0.1:9"
    (tmp_path / "deployment.yaml").write_text(yaml.safe_dump(document))
    code, out, err = invoke(capsys, "resume", "--json")
    assert (code, out) == (3, "")
    assert "does not answer" in json.loads(err)["error"]
    assert "hold and rollback need none" in json.loads(err)["remedy"]
    assert newest(journal).status is Status.HELD


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"paused": True}, "backpack_migration is paused in Airflow: unpause it"),
        ({"lacks": "/dagRuns/"}, "Airflow has nothing at /api/v2/dags/backpack_migration/dagRuns/"),
        ({"cleared": ["begin"]}, f"backpack_migration {RUN} has no task cutover_50.gate"),
    ],
)
def test_what_airflow_cannot_clear_is_refused(capsys, journal, airflow, change, message):
    """With what to do about it, and no note of a resumption that never was."""
    invoke(capsys, "hold")
    for name, value in change.items():
        setattr(airflow, name, value)
    code, _, err = invoke(capsys, "resume")
    assert code == 1
    assert message in err
    notes = journal.events(journal.latest_migration(), "audit_note")
    assert [note.body["note"] for note in notes] == ["joined"]


def test_a_run_that_does_not_end_is_not_cleared(capsys, journal, airflow, monkeypatch):
    """A way back on its way would find the hold ended and nothing proven."""
    invoke(capsys, "hold")
    airflow.run_states = ["running"]
    patience = resuming.Patience
    monkeypatch.setattr(resuming, "Patience", lambda tell: patience(tell=tell, end_seconds=0.05))
    code, _, err = invoke(capsys, "resume")
    assert code == 1
    assert "has to end with its hold first" in err
    assert not [path for _, path, _ in airflow.requests if path.endswith("/clearTaskInstances")]


def test_the_last_dag_run_that_joined_drives(journal):
    """A phase that was started alone takes over."""
    migration_id = journal.latest_migration()
    assert driver_of(journal, migration_id) == Driver(dag_id="backpack_migration", run_id=RUN)
    note = {"note": "joined", "turn": 2, "dag_id": "backpack_cutover", "run_id": "r2"}
    journal.append("audit_note", migration_id=migration_id, actor="ana", body=note)
    assert driver_of(journal, migration_id) == Driver(dag_id="backpack_cutover", run_id="r2")
    assert driver_of(journal, "mig-9") is None


@pytest.mark.parametrize("command", ["start", "approve", "hold", "resume", "rollback"])
def test_the_document_of_an_act_has_exactly_the_documented_keys(
    capsys, journal, airflow, monkeypatch, command
):
    """Whoever scripts it relies on docs/cli.md."""
    airflow.wait_for("cutover_100.approval", "ann")
    monkeypatch.setattr("feed_migration.cli.acts.open_fleet", lambda _: MemoryFleet())
    if command == "resume":
        invoke(capsys, "hold")
    code, out, _ = invoke(capsys, command, "--reason", "odd", "--json")
    assert code == 0
    assert set(json.loads(out)) == documented(command)
