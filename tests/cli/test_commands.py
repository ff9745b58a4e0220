"""Reports, the audit log and errors at a shell: what is printed, and with which code it ends."""

import json
import sqlite3

import pytest

from tests.cli.shell import invoke


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


def test_the_commands_of_plans_and_gates_are_mounted(capsys, home):
    """`plan check` and `gate replay` are part of the same command."""
    code, _, err = invoke(capsys, "plan", "check", str(home / "none.yaml"))
    assert code == 2
    assert "none.yaml" in err
    assert invoke(capsys, "gate", "replay", str(home / "none.yaml"))[0] == 2
