"""A refusal leaves a trace in the journal, once per attempt, and is never hidden by it."""

from pathlib import Path

import pytest
import yaml

from feed_migration.cli import acts as cli_acts
from feed_migration.cli import app as cli
from feed_migration.errors import FleetUnavailable, GateNotPassed, StaleEpoch
from feed_migration.journal.refusals import note_refusal, refusal_in
from feed_migration.journal.spool import Spool
from feed_migration.journal.store import Journal
from tests.support.migration_plans import begin

REFUSAL = GateNotPassed("b needs the Promote of a", "run a")
WHERE = {"step": "b", "dag_id": "d", "run_id": "r", "task_id": "b.advance", "try_number": 1}


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(tmp_path / "journal.db")


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    return Spool(tmp_path / "journal.spool.jsonl")


def notes(journal: Journal) -> list:
    found = journal.events(kind="audit_note")
    return [event for event in found if event.body.get("note") == "refused"]


def note(journal: Journal | None, spool: Spool, error=REFUSAL, **where: object) -> None:
    note_refusal(journal, spool, error, at=5.0, actor="ann", where={**WHERE, **where})


def test_an_attempt_is_noted_once_per_text(journal, spool):
    """A repeat of the same is one line; another try, or another reason, is another."""
    migration_id = begin(journal)
    for _ in range(2):
        note(journal, spool)
    note(journal, spool, try_number=2)
    note(journal, spool, StaleEpoch(presented=1, current=2))
    first, *others = notes(journal)
    assert (first.actor, first.migration_id) == ("ann", migration_id)
    assert first.body.items() >= {"error": "GateNotPassed", "text": str(REFUSAL), **WHERE}.items()
    assert [event.body["error"] for event in others] == ["GateNotPassed", "StaleEpoch"]
    assert journal.verify().ok


def test_without_a_migration_it_is_kept_under_none(journal, spool):
    """What was refused before anything began is no migration's."""
    note(journal, spool)
    assert [event.migration_id for event in notes(journal)] == ["none"]
    assert journal.latest_migration() is None


def test_without_a_journal_it_waits_in_the_spool(tmp_path, spool):
    """A worker that wakes up while the database is down is told of later."""
    note(None, spool)
    (event,) = notes(Journal(tmp_path / "journal.db"))
    assert (event.actor, event.at, event.body["error"]) == ("ann", 5.0, "GateNotPassed")


def test_a_journal_that_breaks_hides_nothing(tmp_path, journal, spool):
    """The note goes to the spool, and the caller sees no other error."""
    (tmp_path / "journal.db").write_bytes(b"no database " * 400)
    for name in ("journal.db-wal", "journal.db-shm"):
        (tmp_path / name).unlink(missing_ok=True)
    note(journal, spool)
    assert "b needs the Promote of a" in spool.path.read_text()


def test_only_refusals_are_noted():
    """A part that does not answer refuses nobody; what wraps a refusal is one."""
    wrapped = RuntimeError("task failed")
    wrapped.__cause__ = REFUSAL
    assert refusal_in(wrapped) is REFUSAL
    assert refusal_in(REFUSAL) is REFUSAL
    assert refusal_in(FleetUnavailable("away")) is None


def test_a_refused_command_is_noted_and_ends_as_before(tmp_path, monkeypatch, capsys):
    """The same exit code and line; under the name of who typed it, each time."""
    instance = {"id": "feed-00", "url": "http://127.0.0.1:9", "config": "feed-00.yaml"}
    document = {"prometheus_url": "http://127.0.0.1:9", "instances": [instance]}
    (tmp_path / "deployment.yaml").write_text(yaml.safe_dump(document))
    monkeypatch.setenv("BACKPACK_HOME", str(tmp_path))

    def overtaken(*_: object, **__: object) -> None:
        raise StaleEpoch(presented=3, current=4)

    monkeypatch.setattr(cli_acts.way_back, "revert", overtaken)
    for _ in range(2):
        assert cli.run(["rollback", "--reason", "because"]) == 1
        assert "epoch 4, this actor at 3" in capsys.readouterr().err
    first, second = notes(Journal(tmp_path / "journal.db"))
    assert first.actor.startswith("cli:")
    assert (first.body["error"], first.body["command"]) == ("StaleEpoch", "rollback")
    assert second.body["tried_at"] > first.body["tried_at"]
