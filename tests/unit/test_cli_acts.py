"""Hold and resume at a shell: what they do, print and refuse, and what others learn of it."""

import json

import pytest
import yaml

from feed_migration import cutover, resuming
from feed_migration.cli.app import run
from feed_migration.driving import Driver, driver_of
from feed_migration.gates.record import join_gate
from feed_migration.journal.store import Journal
from feed_migration.phases import Status
from tests.support.memory_fleet import MemoryFleet
from tests.support.migration_plans import PLAN, approve, begin, pass_steps
from tests.support.small_airflow import small_airflow
from tests.unit.test_cli_json import documented

STEP = "cutover-50"
RUN = "manual__2026-10-02T10:15:30+00:00"


@pytest.fixture
def airflow(tmp_path, monkeypatch):
    """A deployment with an Airflow that answers."""
    for name in ("AIRFLOW_URL", "AIRFLOW_USERNAME", "AIRFLOW_PASSWORD", "AIRFLOW_PASSWORD_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("BACKPACK_HOME", str(tmp_path))
    monkeypatch.setattr("getpass.getuser", lambda: "bo")
    monkeypatch.setattr(resuming, "_POLL_SECONDS", 0.01)
    with small_airflow() as airflow:
        document = {
            "prometheus_url": "http://127.0.0.1:9",
            "instances": [{"id": "feed-00", "url": "http://127.0.0.1:9", "config": "f.yaml"}],
            "airflow": {"url": airflow.url, "password_file": "passwords.json"},
        }
        (tmp_path / "deployment.yaml").write_text(yaml.safe_dump(document))
        (tmp_path / "passwords.json").write_text(json.dumps({"admin": airflow.password}))
        yield airflow


@pytest.fixture
def journal(airflow, tmp_path):
    """Half of the fleet on native, and its gate open."""
    journal = Journal(tmp_path / "journal.db")
    migration_id, fleet = begin(journal), MemoryFleet()
    note = {"note": "joined", "turn": 1, "dag_id": "backpack_migration", "run_id": RUN}
    journal.append("audit_note", migration_id=migration_id, actor="ana", body=note)
    pass_steps(journal, fleet, migration_id, until=STEP)
    approve(journal, migration_id, STEP)
    cutover.advance(PLAN.step(STEP), PLAN, fleet, journal, migration_id, "ana")
    open_gate(journal)
    return journal


def open_gate(journal, key="dag/run#0"):
    return join_gate(
        journal,
        migration_id=journal.latest_migration(),
        step=STEP,
        key=key,
        actor="ana",
        started_unix=1_790_000_000.0,
    )


def invoke(capsys, *arguments):
    code = run(arguments)
    out, err = capsys.readouterr()
    return code, out, err


def newest(journal):
    return journal.state(journal.latest_migration())


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


def test_start_and_approve_leave_a_name_in_the_audit_log(capsys, journal, airflow):
    """Airflow knows only the user that the deployment names."""
    airflow.wait_for("cutover_100.approval", "ann")
    assert invoke(capsys, "start", "--reason", "release 7")[0] == 0
    assert invoke(capsys, "approve", "--reason", "read it")[0] == 0
    notes = [note for note in journal.events(kind="audit_note") if note.actor == "cli:bo"]
    assert [(note.body["command"], note.body["reason"]) for note in notes] == [
        ("start", "release 7"),
        ("approve", "read it"),
    ]


@pytest.mark.usefixtures("journal")
@pytest.mark.parametrize(("asked_seconds_ago", "waits"), [(1.0, 2.0), (60.0, 0.0), (-60.0, 3.0)])
def test_a_question_that_was_just_asked_is_answered_once_its_task_is_parked(
    capsys, airflow, monkeypatch, asked_seconds_ago, waits
):
    """Airflow loses an answer that comes sooner; a clock that is behind makes nobody wait long."""
    pauses = []
    monkeypatch.setattr("feed_migration.cli.acts.time.sleep", pauses.append)
    airflow.wait_for("cutover_100.approval", "ann", asked_seconds_ago=asked_seconds_ago)
    assert invoke(capsys, "approve")[0] == 0
    assert sum(pauses) == pytest.approx(waits, abs=0.9)


@pytest.fixture
def fleet(monkeypatch):
    """Instances that answer a rollback at once."""
    fleet = MemoryFleet()
    monkeypatch.setattr("feed_migration.cli.acts.open_fleet", lambda _: fleet)
    return fleet


def test_a_mistyped_id_takes_back_the_migration_that_is_active(capsys, journal, fleet):
    """It never refuses, and the journal does not go on to say that the fleet is on native."""
    active = journal.latest_migration()
    invoke(capsys, "hold")
    code, out, err = invoke(capsys, "rollback", "--migration", "mig-typo")
    assert code == 0
    assert out.startswith("rolled back: ")
    assert err == (
        f"backpack-migrate: the journal has no migration mig-typo: {active} is taken back, "
        "the active one\n"
    )
    assert newest(journal).status is Status.ROLLED_BACK
    assert journal.events("mig-typo") == []
    assert set(fleet.variant.values()) == {"ccxt"}


@pytest.mark.usefixtures("fleet")
def test_the_id_of_a_migration_that_is_over_takes_back_the_active_one(capsys, journal):
    """What is on native is the active one's; of the other nothing is left to take back."""
    earlier = journal.latest_migration()
    assert invoke(capsys, "rollback")[0] == 0
    told = len(journal.events(earlier))
    active = begin(journal)
    code, out, err = invoke(capsys, "rollback", "--migration", earlier, "--json")
    assert code == 0
    assert json.loads(out)["migration_id"] == active
    notices = [json.loads(line)["notice"] for line in err.splitlines()]
    assert notices == [f"{earlier} is rolled back already: {active} is taken back, the active one"]
    assert newest(journal).status is Status.ROLLED_BACK
    assert len(journal.events(earlier)) == told


@pytest.mark.usefixtures("fleet")
def test_with_none_active_the_latest_is_taken_back(capsys, journal):
    """Its report and its incident are what an operator looks at."""
    earlier = journal.latest_migration()
    invoke(capsys, "rollback")
    latest = begin(journal)
    invoke(capsys, "rollback")
    code, out, err = invoke(capsys, "rollback", "--migration", earlier, "--json")
    assert code == 0
    assert json.loads(out)["migration_id"] == latest
    assert f"{latest} is taken back, the latest one" in err


@pytest.mark.usefixtures("fleet")
@pytest.mark.parametrize("given", [None, "the right one"])
def test_the_right_id_and_none_are_nothing_to_speak_of(capsys, journal, given):
    """No notice where what was meant is what is done."""
    active = journal.latest_migration()
    words = () if given is None else ("--migration", active)
    code, out, err = invoke(capsys, "rollback", *words, "--json")
    assert (code, err) == (0, "")
    assert json.loads(out)["migration_id"] == active


@pytest.mark.usefixtures("fleet")
@pytest.mark.parametrize("damage", ["none yet", "away"])
def test_where_the_journal_knows_none_the_given_id_is_all_there_is(
    capsys, airflow, tmp_path, damage
):
    """A journal that is away or empty cannot say which one was meant."""
    if damage == "away":
        (tmp_path / "journal.db").mkdir()
    code, out, err = invoke(capsys, "rollback", "--migration", "mig-0007", "--json")
    assert code == 0
    assert json.loads(out)["migration_id"] == "mig-0007"
    assert "is taken back" not in err


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
