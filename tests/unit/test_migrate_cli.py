"""`backpack-migrate`: what it prints, and with which code it ends."""

import json
import sqlite3

import pytest
import yaml

from feed_migration.cli.app import run
from feed_migration.journal.store import Journal
from tests.support.memory_fleet import MemoryFleet
from tests.support.migration_plans import begin, gate, pass_steps
from tests.support.small_airflow import small_airflow


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A deployment of which nothing runs."""
    for name in ("AIRFLOW_URL", "AIRFLOW_USERNAME", "AIRFLOW_PASSWORD", "AIRFLOW_PASSWORD_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("BACKPACK_HOME", str(tmp_path))
    write(tmp_path)
    return tmp_path


def write(home, **more):
    document = {
        "prometheus_url": "http://127.0.0.1:9",
        "instances": [
            {"id": "feed-00", "url": "http://127.0.0.1:9", "config": "fleet/feed-00.yaml"}
        ],
        "airflow": {"url": "http://127.0.0.1:9"},
        **more,
    }
    (home / "deployment.yaml").write_text(yaml.safe_dump(document))


@pytest.fixture
def migrated(home):
    """A journal at 50 % whose last gate held."""
    journal = Journal(home / "journal.db", clock=_ticking())
    migration_id = begin(journal)
    pass_steps(journal, MemoryFleet(), migration_id, until="cutover-50")
    gate(journal, migration_id, "cutover-50", "Hold")
    body = {"step": "cutover-50", "reason": "coverage 0.80 is below 0.95"}
    journal.append("held", migration_id=migration_id, actor="gate cutover-50", body=body)
    return journal


def _ticking():
    now = [1_790_900_000.0]

    def clock():
        now[0] += 1.5
        return now[0]

    return clock


def invoke(capsys, *arguments):
    code = run(arguments)
    out, err = capsys.readouterr()
    return code, out, err


GOLDEN_STATUS = """\
migration    mig-0001-20261002T001321Z
status       held
plan         small
phase, step  cutover, cutover-50
promoted     preflight, shadow, cutover-10
waits for    cutover-50 is held, a person decides: coverage 0.80 is below 0.95
started      2026-10-02 00:13:23 UTC

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
    journal = Journal(home / "journal.db", clock=_ticking())
    pass_steps(journal, MemoryFleet(), begin(journal), until="cutover-50")
    _, out, _ = invoke(capsys, "status")
    assert "watched by   handover cutover-10, until 2026-10-02 00:2" in out
    _, out, _ = invoke(capsys, "status", "--json")
    lease = json.loads(out)["lease"]
    assert lease["expires_at"] == journal.lease(journal.latest_migration()).expires_at


def test_status_before_the_first_migration_is_no_error(capsys, home):
    """Nothing has happened, and that is the answer."""
    code, out, _ = invoke(capsys, "status")
    assert code == 0
    assert out.startswith("migration    none yet\nstatus       absent\n")


def test_audit_verify_prints_the_head_or_the_first_bad_event(capsys, home, migrated):
    """Exit 0 and the anchor, exit 1 and the place."""
    head = migrated.verify().head
    code, out, _ = invoke(capsys, "audit", "verify", "--expect-head", head)
    assert code == 0
    assert out.startswith(
        f"audit intact: {migrated.verify().count} events, head {head}\nnot signed;"
    )
    connection = sqlite3.connect(home / "journal.db", isolation_level=None)
    connection.execute("DROP TRIGGER events_no_update")
    connection.execute("UPDATE events SET actor = 'eve' WHERE seq = 4")
    connection.close()

    code, out, _ = invoke(capsys, "audit", "verify")

    assert code == 1
    assert out.startswith("audit BROKEN at event 4: event 4 was changed after it was written; last")


def test_audit_export_has_every_event_in_both_formats(capsys, home, migrated):
    """JSON that a machine can verify again, Markdown that a person can read."""
    code, out, _ = invoke(capsys, "audit", "export")
    document = json.loads(out)
    assert code == 0
    assert document["verified"]["ok"]
    assert len(document["events"]) == len(migrated.events())
    page = home / "audit.md"
    code, out, _ = invoke(capsys, "audit", "export", "--format", "markdown", "--output", str(page))
    assert (code, out) == (0, f"{page}\n")
    assert "| 1 | 2026-10-02 00:13:23 UTC | mig-0001" in page.read_text()


def test_report_renders_the_whole_migration(capsys, migrated):
    """Steps, verdicts with value and threshold, approvals, timeline."""
    code, out, _ = invoke(capsys, "report")
    assert code == 0
    assert out.startswith("# Migration mig-0001-20261002T001321Z: held\n")
    assert "| cutover-10 | promoted | 2026-10-02 " in out
    assert "| stale | 61 | failure \\>= 45 | instance\\_id=feed-00, symbol=SOL-USDC |" in out
    assert "### cutover-50: Hold" in out
    code, out, _ = invoke(capsys, "report", "--json")
    assert json.loads(out)["outcome"] == "held"


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["nonsense"], 2, "No such command 'nonsense'. See backpack-migrate --help."),
        (["report", "--no"], 2, "No such option: --no"),
        (["report"], 1, "the journal has no migration: start one"),
        (["report", "--migration", "m9"], 1, "the journal has no migration m9: start one"),
        (["start"], 3, "no password for Airflow: {home}/airflow/passwords.json cannot be read"),
        (["approve"], 3, "no password for Airflow: {home}/airflow/passwords.json cannot be read"),
        (["rollback"], 3, "supervisord at {home}/supervisor.sock does not answer"),
    ],
)
def test_every_error_is_one_line_with_its_remedy_and_code(capsys, home, arguments, code, message):
    """1 no, 2 input, 3 environment; never a traceback."""
    got, out, err = invoke(capsys, *arguments)
    assert (got, out) == (code, "")
    assert err.startswith("backpack-migrate: " + message.format(home=home))
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "deployment.yaml: cannot be read (No such file or directory): set BACKPACK_HOME"),
        ("a: [", "deployment.yaml:2: no YAML"),
        ("a: 1\na: 2", "deployment.yaml:2: a: doubled key"),
        ("prometheus_url: http://x\nsurprise: 1\n", "unknown field `surprise`"),
        ("prometheus_url: 5\ninstances: []\n", "Expected `str`, got `int` - at `$.prometheus_url`"),
        ("prometheus_url: http://x\ninstances: []\n", "length >= 1 - at `$.instances`"),
        ("prometheus_url: http://user@x\n", "$.prometheus_url"),
        (
            "prometheus_url: http://x\ninstances:" + "\n- {id: a, url: 'http://x', config: c}" * 2,
            "instance 'a' twice: rename one of them",
        ),
        (
            "prometheus_url: http://x\ninstances: [{id: ../x, url: 'http://x', config: c}]\n",
            "$.instances[0].id",
        ),
    ],
)
def test_a_wrong_deployment_is_named_by_file_and_key(capsys, home, text, message):
    """Exit 2, one line."""
    path = home / "deployment.yaml"
    path.unlink()
    if text is not None:
        path.write_text(text)
    code, _, err = invoke(capsys, "status")
    assert code == 2
    assert message in err
    assert str(path) in err
    assert err.count("\n") == 1


@pytest.fixture
def airflow(home):
    with small_airflow() as airflow:
        write(home, airflow={"url": airflow.url, "password_file": "passwords.json"})
        (home / "passwords.json").write_text(json.dumps({"admin": airflow.password}))
        yield airflow


def test_start_triggers_the_whole_migration(capsys, airflow):
    """A run of backpack_migration; the reason travels in its conf."""
    code, out, _ = invoke(capsys, "start", "--reason", "release 7")
    assert code == 0
    assert out == "backpack_migration started: manual__1\nnext: backpack-migrate status --watch\n"
    assert airflow.requests[-1] == (
        "POST",
        "/api/v2/dags/backpack_migration/dagRuns",
        {"logical_date": None, "conf": {"reason": "release 7"}},
    )


def promoted(home):
    journal = Journal(home / "journal.db")
    migration_id = begin(journal)
    pass_steps(journal, MemoryFleet(), migration_id, until=None)
    body = {"outcome": "promoted"}
    journal.append("migration_finished", migration_id=migration_id, actor="ana", body=body)
    return journal, migration_id


def test_start_refuses_a_fleet_that_is_native_already(capsys, home, airflow, monkeypatch):
    """As the preflight would, but before Airflow is asked, and with its trace."""
    journal, migration_id = promoted(home)
    fleet = MemoryFleet(2)
    fleet.variant["feed-01"] = "native"
    monkeypatch.setattr("feed_migration.cli.start.open_fleet", lambda _: fleet)
    code, out, err = invoke(capsys, "start")
    assert (code, out) == (1, "")
    words = (
        f"no migration can begin, {migration_id} was the last and is promoted: feed-01 on native"
    )
    assert words in err
    assert "run `backpack-migrate rollback`, then start again" in err
    assert airflow.requests == []
    last = journal.events(kind="audit_note")[-1].body
    assert (last["note"], last["error"], last["command"]) == ("refused", "PreflightFailed", "start")


@pytest.mark.parametrize("native", [True, False])
def test_start_leaves_to_the_preflight_what_it_cannot_see(
    capsys, home, airflow, monkeypatch, native
):
    """A migration that is under way is joined; a fleet that does not answer is asked again."""
    if native:
        begin(Journal(home / "journal.db"))
        fleet = MemoryFleet(2)
        fleet.variant["feed-01"] = "native"
        monkeypatch.setattr("feed_migration.cli.start.open_fleet", lambda _: fleet)
    assert invoke(capsys, "start")[0] == 0
    assert airflow.requests[-1][1].endswith("/dagRuns")


def test_start_refuses_a_paused_dag(capsys, airflow):
    """It would wait without a word."""
    airflow.paused = True
    code, _, err = invoke(capsys, "start")
    assert code == 1
    assert "backpack_migration is paused in Airflow: unpause it in the UI, then repeat" in err


def test_a_wrong_password_is_said_and_not_shown(capsys, airflow, monkeypatch):
    """Exit 3; the password is in no message."""
    monkeypatch.setenv("AIRFLOW_PASSWORD", "hunter2")
    code, out, err = invoke(capsys, "start")
    assert code == 3
    assert "Airflow answered 401 to /auth/token: Invalid credentials" in err
    assert "hunter2" not in out + err


@pytest.mark.parametrize(("flags", "option"), [((), "Approve"), (("--reject",), "Reject")])
def test_approve_answers_the_one_that_waits(capsys, airflow, flags, option):
    """The run id has a plus sign, which must survive the URL."""
    airflow.wait_for("cutover-50.approve")
    code, out, _ = invoke(capsys, "approve", *flags)
    assert code == 0
    assert out.splitlines()[0] == f"{option}: Start cutover-50.approve?"
    method, path, body = airflow.requests[-1]
    assert (method, body["chosen_options"]) == ("PATCH", [option])
    assert "/dagRuns/manual__2026-10-02T10:15:30+00:00/taskInstances/cutover-50.approve/-1/" in path


def test_a_reason_at_the_shell_reaches_the_question(capsys, airflow, monkeypatch):
    """With who sits there; a question of an older release has no field for it."""
    monkeypatch.setattr("getpass.getuser", lambda: "bo")
    airflow.wait_for("cutover-50.approve")
    invoke(capsys, "approve", "--reason", "odd book", "--reject")
    given = airflow.requests[-1][2]["params_input"]
    assert given == {"reason": "odd book (at a shell, cli:bo)"}
    invoke(capsys, "approve")
    assert airflow.requests[-1][2]["params_input"] == {"reason": "at a shell, cli:bo"}
    del airflow.approvals[0]["params"]
    invoke(capsys, "approve", "--reason", "odd book")
    assert airflow.requests[-1][2]["params_input"] == {}


def test_approve_does_not_guess(capsys, airflow):
    """None waits, or several do: exit 1 and what to do."""
    code, _, err = invoke(capsys, "approve")
    assert (code, err) == (
        1,
        "backpack-migrate: 0 approvals wait: see `backpack-migrate status`\n",
    )
    airflow.wait_for("cutover-50.approve")
    airflow.wait_for("stabilisation.approve")
    code, _, err = invoke(capsys, "approve")
    assert code == 1
    assert "2 approvals wait (cutover-50.approve, stabilisation.approve): choose one" in err
    assert invoke(capsys, "approve", "--task", "stabilisation.approve")[0] == 0


def test_the_commands_of_plans_and_gates_are_mounted(capsys, home):
    """`plan check` and `gate replay` are part of the same command."""
    code, _, err = invoke(capsys, "plan", "check", str(home / "none.yaml"))
    assert code == 2
    assert "none.yaml" in err
    assert invoke(capsys, "gate", "replay", str(home / "none.yaml"))[0] == 2
