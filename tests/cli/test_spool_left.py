"""A shell that cannot append what a rollback spooled reads the journal all the same, and says so."""

import json

import pytest

from feed_migration.journal.keys import AuditPlace, make_key
from feed_migration.journal.spool import Spool
from feed_migration.journal.store import Journal
from tests.cli.shell import invoke, write_deployment
from tests.support.migration_plans import begin

READING = [
    ("status",),
    ("report",),
    ("audit", "verify"),
    ("audit", "export"),
]


@pytest.fixture
def keyless(home, tmp_path_factory):
    """A shell without the key, in whose state directory a rollback's event waits."""
    signed = tmp_path_factory.mktemp("airflow")
    make_key(AuditPlace.of(signed, {}))
    migration_id = begin(Journal(home / "journal.db", home=signed))
    spool = Spool(home / "journal.spool.jsonl")
    body = {"reason": "a breach", "epoch": 2}
    spool.write("rollback_started", at=1.0, migration_id=migration_id, actor="guard", body=body)
    write_deployment(home)
    return spool


@pytest.mark.parametrize("command", READING, ids=" ".join)
def test_what_only_reads_says_that_events_wait(capsys, keyless, command):
    """Where the migration stands may be another place than the journal says."""
    code, out, err = invoke(capsys, *command)
    assert code == 0
    assert out
    (line,) = [line for line in err.splitlines() if "what follows may lack" in line]
    assert f"in {keyless.path} wait 1 event, which" in line
    assert "BACKPACK_AUDIT_KEY_FILE" in line
    assert not keyless.is_empty()


def test_it_is_a_document_where_the_answer_is_one(capsys, keyless):
    """On stderr, for scripts."""
    code, out, err = invoke(capsys, "status", "--json")
    assert (code, json.loads(out)["status"]) == (0, "running")
    notices = [json.loads(line)["notice"] for line in err.splitlines() if line.startswith("{")]
    assert sum(str(keyless.path) in text for text in notices) == 1


def test_what_appends_is_refused_as_ever(capsys, keyless):
    """Nothing may come before what waits."""
    code, _, err = invoke(capsys, "hold", "--reason", "odd")
    assert code == 3
    assert "BACKPACK_AUDIT_KEY_FILE" in err


def test_with_the_key_nothing_waits(capsys, home):
    """As ever: it is absorbed, and nothing is said."""
    make_key(AuditPlace.of(home, {}))
    migration_id = begin(Journal(home / "journal.db", home=home))
    spool = Spool(home / "journal.spool.jsonl")
    body = {"reason": "a breach", "epoch": 2}
    spool.write("rollback_started", at=1.0, migration_id=migration_id, actor="guard", body=body)
    code, out, err = invoke(capsys, "status")
    assert (code, "wait" in err, spool.is_empty()) == (0, False, True)
    assert "rolling back" in out
