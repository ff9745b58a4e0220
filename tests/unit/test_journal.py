"""The journal keeps what it is told, once, in order, on disk, for several processes at once."""

import multiprocessing
import sqlite3
import time
from concurrent.futures import ProcessPoolExecutor

import pytest

from feed_migration.chain import GENESIS_HASH, canonical_json
from feed_migration.errors import JournalUnavailable
from feed_migration.events import EventKind
from feed_migration.journal import Journal
from feed_migration.model import Measurement, Outcome


@pytest.fixture
def path(tmp_path):
    return tmp_path / "journal.db"


@pytest.fixture
def journal(path):
    return Journal(path)


def note(journal, number):
    return journal.append("audit_note", migration_id="m", actor="ana", body={"number": number})


def measured(tick, value=1.0, criterion="stale", **more):
    return Measurement(
        criterion=criterion,
        tick_seconds=tick,
        outcome=Outcome.SUCCESS,
        counts_as=Outcome.SUCCESS,
        value=value,
        series=(("instance_id", "feed-00"), ("symbol", "SOL-USDC")),
        **more,
    )


def test_events_come_back_as_written_in_order_and_chained(path, journal):
    """Seq from 1, each hash behind the one before, also through another connection."""
    written = [note(journal, number) for number in range(3)]

    assert Journal(path).events() == written
    assert [event.seq for event in written] == [1, 2, 3]
    assert written[0].prev_hash == GENESIS_HASH
    assert written[2].prev_hash == written[1].hash
    assert journal.events("other") == []
    assert journal.events(kind=EventKind.AUDIT_NOTE) == written


def test_numbers_that_json_lacks_become_prometheus_strings(journal):
    """NaN and infinities neither break the chain nor turn into null."""
    body = {"value": float("nan"), "limits": [float("inf"), float("-inf")], "name": "é"}
    journal.append("audit_note", migration_id="m", actor="a", body=body)
    (event,) = journal.events()
    assert event.body == {"value": "NaN", "limits": ["+Inf", "-Inf"], "name": "é"}
    assert journal.verify().ok


def test_an_unknown_kind_is_refused(journal):
    """A typing error does not become history."""
    with pytest.raises(ValueError, match="step_promotedd"):
        journal.append("step_promotedd", migration_id="m", actor="a", body={})
    assert journal.events() == []


def test_canonical_json_does_not_depend_on_the_order_of_keys():
    """One value, one text, one hash."""
    assert canonical_json({"b": 1, "a": (1, 2)}) == canonical_json({"a": [1, 2], "b": 1})
    assert canonical_json({"a": "ü\n"}) == '{"a":"\\u00fc\\n"}'


def _append_many(path, worker):
    journal = Journal(path)
    for number in range(20):
        body = {"worker": worker, "number": number}
        journal.append("audit_note", migration_id="m", actor=str(worker), body=body)


def test_concurrent_appenders_keep_one_chain(path):
    """Three processes that also race for the creation of the file lose no event and fork no chain."""
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(3, mp_context=spawn) as pool:
        list(pool.map(_append_many, [path] * 3, range(3)))

    journal = Journal(path)
    result = journal.verify()
    assert (result.ok, result.count) == (True, 60)
    for worker in range(3):
        mine = [e.body["number"] for e in journal.events() if e.body["worker"] == worker]
        assert mine == list(range(20))


def test_a_locked_journal_is_an_error_after_the_wait_and_recovers(path, journal):
    """Nothing is half written, and the next append after the lock works."""
    impatient = Journal(path, lock_wait_seconds=0.2)
    holder = sqlite3.connect(path, isolation_level=None)
    try:
        holder.execute("BEGIN IMMEDIATE")
        began = time.monotonic()
        with pytest.raises(JournalUnavailable, match="locked"):
            note(impatient, 1)
        assert time.monotonic() - began < 5
        assert impatient.events() == []
        holder.execute("ROLLBACK")
    finally:
        holder.close()
    assert note(impatient, 2).seq == 1


def test_a_torn_database_is_named_with_a_remedy(path, journal):
    """Garbage is no journal, and the message has no traceback of a driver in it."""
    note(journal, 1)
    for file in path.parent.glob("journal.db*"):
        file.write_bytes(b"garbage" * 1000)
    with pytest.raises(
        JournalUnavailable, match=r"journal\.db: file is not a database: nothing was"
    ):
        Journal(path)


def test_a_torn_write_ahead_log_loses_at_most_the_unfinished_event(path, tmp_path):
    """What a crash leaves of the last transaction is cut; everything before it verifies."""
    journal = Journal(path)
    keeper = sqlite3.connect(path)  # keeps the log from being folded into the database
    try:
        keeper.execute("SELECT 1 FROM events").fetchall()
        for number in range(5):
            note(journal, number)
        copy = tmp_path / "crashed"
        copy.mkdir()
        log = (path.parent / "journal.db-wal").read_bytes()
        (copy / "journal.db").write_bytes(path.read_bytes())
        (copy / "journal.db-wal").write_bytes(log[:-100])
    finally:
        keeper.close()

    crashed = Journal(copy / "journal.db")

    assert crashed.verify().ok
    assert crashed.verify().count == 4
    assert note(crashed, 9).seq == 5


def test_measurements_are_kept_once_in_tick_order(journal):
    """Writing one twice changes nothing; runs and steps do not mix; NaN survives."""
    journal.record("m", "shadow", [measured(15.0), measured(0.0, float("nan"))])
    journal.record("m", "shadow", [measured(15.0, 99.0), measured(30.0)], run="1")
    journal.record("m", "shadow", [measured(0.0)], run="2")
    journal.record("m", "cutover-10", [])

    ticks = journal.measurements("m", "shadow")

    assert [m.tick_seconds for m in ticks] == [0.0, 15.0, 30.0]
    assert ticks[1] == measured(15.0)
    assert str(ticks[0].value) == "nan"
    assert len(journal.measurements("m", "shadow", "2")) == 1
    assert journal.measurements("m", "cutover-10") == []


def test_the_database_itself_refuses_to_rewrite_history(path, journal):
    """An UPDATE or DELETE of an event fails unless somebody drops the trigger first."""
    note(journal, 1)
    connection = sqlite3.connect(path)
    try:
        for statement in ("UPDATE events SET actor='eve'", "DELETE FROM events"):
            with pytest.raises(sqlite3.IntegrityError, match="append-only"):
                connection.execute(statement)
    finally:
        connection.close()


@pytest.mark.parametrize(
    "url", ["frobdb://u:secret@h/x", "postgresql+psycopg2://u:secret@h:abc/x", "://"]
)
def test_an_unusable_url_is_an_unavailable_journal(url):
    """A rollback goes on without a journal whose URL is wrong, and no password is shown."""
    with pytest.raises(JournalUnavailable, match="journal_url") as refusal:
        Journal(url)
    assert "secret" not in str(refusal.value)
