"""A start at a shell: what it asks Airflow for, and what it refuses before."""

import pytest

from feed_migration.journal.store import Journal
from tests.cli.shell import invoke
from tests.support.memory_fleet import MemoryFleet
from tests.support.migration_plans import begin, pass_steps


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


@pytest.mark.parametrize("state", ["queued", "running"])
def test_start_refuses_to_wait_behind_another_run(capsys, airflow, state):
    """Airflow would begin it when that one has ended, whatever has happened until then."""
    airflow.living = {"manual__0": state}
    code, out, err = invoke(capsys, "start")
    assert (code, out) == (1, "")
    assert f"backpack_migration manual__0 is {state} in Airflow: wait for its end" in err
    assert not any(
        method == "POST" and path.endswith("/dagRuns") for method, path, _ in airflow.requests
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


def test_start_refuses_a_fleet_whose_shadows_run_already(capsys, home, airflow, monkeypatch):
    """Left by a rollback of an older version, or started by hand."""
    fleet = MemoryFleet(2)
    fleet.shadow_runs = True
    monkeypatch.setattr("feed_migration.cli.start.open_fleet", lambda _: fleet)
    code, _, err = invoke(capsys, "start")
    assert code == 1
    assert "no migration can begin, shadow-00 as shadow already" in err
    assert airflow.requests == []


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
