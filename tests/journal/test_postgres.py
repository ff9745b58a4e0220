"""The journal on PostgreSQL: what a server can do to it, and what its role may do."""

import json
import time
from pathlib import Path

import psycopg
import pytest

from feed_migration.cli.app import run
from feed_migration.errors import JournalUnavailable
from feed_migration.journal.store import Journal
from tests.support.postgres_server import postgres_server

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture
def server():
    """A server of this test's own, to be mistreated."""
    with postgres_server() as server:
        yield server


def note(journal, number):
    return journal.append("audit_note", migration_id="m", actor="ana", body={"number": number})


def test_a_dead_server_is_an_error_at_once_and_loses_nothing(server):
    """Killed in the middle of a log: what was confirmed is there when it comes back."""
    journal = Journal(server.url(), lock_wait_seconds=1.0)
    for number in range(5):
        note(journal, number)
    server.stop()
    began = time.monotonic()
    with pytest.raises(JournalUnavailable, match="start the server"):
        note(journal, 5)
    assert time.monotonic() - began < 10
    server.start()
    assert [event.body["number"] for event in journal.events()] == list(range(5))
    assert note(journal, 6).seq == 6
    assert journal.verify().ok


def test_a_server_that_stopped_before_the_connection_is_an_error_in_time(server):
    """It accepts, and says nothing: the connection attempt has an end."""
    journal = Journal(server.url(), lock_wait_seconds=1.0)
    server.freeze()
    began = time.monotonic()
    with pytest.raises(JournalUnavailable, match="timeout"):
        note(journal, 1)
    assert time.monotonic() - began < 10
    server.thaw()
    assert note(journal, 2).seq == 1


def test_a_server_that_stops_in_the_middle_of_an_append_is_an_error_in_time(server, monkeypatch):
    """No timeout of the server's can end this one; the commit that was never sent is not there."""
    journal = Journal(server.url(), lock_wait_seconds=1.0)
    real = journal._heads.keep

    def freeze(connection, event, **more):
        server.freeze()
        real(connection, event, **more)

    monkeypatch.setattr(journal._heads, "keep", freeze)
    began = time.monotonic()
    with pytest.raises(JournalUnavailable):
        note(journal, 1)
    assert time.monotonic() - began < 10
    server.thaw()
    monkeypatch.undo()
    assert journal.events() == []
    assert note(journal, 2).seq == 1


def test_a_writer_that_was_stopped_gives_the_lock_up(server, monkeypatch):
    """Or one frozen worker would keep all others from ever writing again."""
    others = Journal(server.url(), lock_wait_seconds=10.0)
    others.verify()
    monkeypatch.setattr("feed_migration.journal.database.IDLE_SECONDS", 0.5)
    stopped = Journal(server.url())
    real = stopped._heads.keep

    def stop(connection, event, **more):
        # what this one holds is the lock of all writers
        assert note(others, 1).seq == 1
        real(connection, event, **more)

    monkeypatch.setattr(stopped._heads, "keep", stop)
    with pytest.raises(JournalUnavailable):
        note(stopped, 2)
    assert [event.body["number"] for event in others.events()] == [1]


def test_the_writers_role_appends_and_can_do_nothing_else(server):
    """What `journal init --writer` and deploy/postgres/roles.sql leave to it."""
    owner = Journal(server.url())
    server.sql("CREATE ROLE writer LOGIN")
    owner.grant("writer")
    journal = Journal(server.url(user="writer"))
    assert journal.renew_lease("m", holder="gate", seconds=60.0) == journal.lease("m")
    journal.append("held", migration_id="m", actor="ana", body={"step": "shadow"})
    for statement in (
        "UPDATE events SET actor = 'eve'",
        "DELETE FROM events",
        "TRUNCATE events",
        "DROP TABLE events",
        "ALTER TABLE events DISABLE TRIGGER ALL",
        "DELETE FROM heads",
        "DELETE FROM measurements",
    ):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            server.sql(statement, user="writer")
    assert len(journal.events()) == 1


def test_the_roles_of_the_deployment_fit_the_journal(server):
    """deploy/postgres/roles.sql, run twice as the superuser, then init and an append."""
    script = (REPOSITORY / "deploy" / "postgres" / "roles.sql").read_text()
    server.sql(script, script)
    plain = f"postgresql://{{}}@127.0.0.1:{server.port}/postgres"
    Journal(plain.format("backpack_journal_owner")).grant("backpack_journal")
    journal = Journal(plain.format("backpack_journal"))
    assert note(journal, 1).seq == 1
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        server.sql("DELETE FROM backpack.events", user="backpack_journal")
    assert journal.verify().ok


def test_init_says_that_it_is_postgresql(server, tmp_path, monkeypatch, capsys):
    """Not a file that a typing error has made; and without the URL, which may hold a password."""
    monkeypatch.setenv("BACKPACK_HOME", str(tmp_path))
    instances = "instances: [{id: feed-00, url: 'http://127.0.0.1:9'}]"
    (tmp_path / "deployment.yaml").write_text(f"prometheus_url: http://127.0.0.1:9\n{instances}\n")
    (tmp_path / "owner").write_text(server.url())
    server.sql("CREATE ROLE writer LOGIN")
    init = ["journal", "init", "--url-file", str(tmp_path / "owner"), "--writer", "writer"]
    assert run(init) == 0
    assert capsys.readouterr().out == "journal ready on PostgreSQL, writer may read and append\n"
    assert run([*init, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["backend"] == "postgresql"


def test_even_the_owner_is_refused_a_rewrite(server):
    """The trigger stands until somebody takes it away, which is an act of its own."""
    owner = Journal(server.url())
    note(owner, 1)
    for statement in ("UPDATE events SET actor = 'eve'", "DELETE FROM events", "TRUNCATE events"):
        with pytest.raises(psycopg.errors.RaiseException, match="append-only"):
            server.sql(statement)


def test_a_role_that_may_not_make_the_tables_is_told_who_can(server):
    """The first start by the writer, before anybody ran the command."""
    server.sql("CREATE ROLE writer LOGIN")
    with pytest.raises(JournalUnavailable, match="journal init"):
        Journal(server.url(user="writer"))


def test_a_plain_postgresql_url_means_the_driver_that_is_installed(server):
    """`postgresql://` is what everybody writes."""
    assert note(Journal(server.url().replace("+psycopg", "")), 1).seq == 1
