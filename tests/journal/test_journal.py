"""The journal keeps what it is told, once, in order, on disk, for several processes at once."""

import multiprocessing
import time
from concurrent.futures import ProcessPoolExecutor

import pytest

from feed_migration.errors import JournalUnavailable
from feed_migration.events import EventKind
from feed_migration.journal.chain import GENESIS_HASH, canonical_json
from feed_migration.journal.store import Journal
from feed_migration.model import Measurement, Outcome


@pytest.fixture
def journal(store):
    return store.open()


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


def test_events_come_back_as_written_in_order_and_chained(store, journal):
    """Seq from 1, each hash behind the one before, also through another connection."""
    written = [note(journal, number) for number in range(3)]

    assert store.open().events() == written
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


def _append_many(url, home, worker):
    journal = Journal(url, home=home)
    for number in range(20):
        body = {"worker": worker, "number": number}
        journal.append("audit_note", migration_id="m", actor=str(worker), body=body)


def test_concurrent_appenders_keep_one_chain(store):
    """Three processes that also race for the first opening lose no event and fork no chain."""
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(3, mp_context=spawn) as pool:
        list(pool.map(_append_many, [store.url] * 3, [store.home] * 3, range(3)))

    journal = store.open()
    result = journal.verify()
    assert (result.ok, result.count) == (True, 60)
    for worker in range(3):
        mine = [e.body["number"] for e in journal.events() if e.body["worker"] == worker]
        assert mine == list(range(20))


def test_a_locked_journal_is_an_error_after_the_wait_and_recovers(store, journal):
    """Nothing is half written, and the next append after the lock works."""
    impatient = store.open(lock_wait_seconds=0.2)
    with store.locked():
        began = time.monotonic()
        with pytest.raises(JournalUnavailable, match="lock"):
            note(impatient, 1)
        assert time.monotonic() - began < 10
    assert impatient.events() == []
    assert note(impatient, 2).seq == 1


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


def test_who_keeps_a_measurement_is_told_which_one_stands(journal):
    """Of two that judge at once the second goes by the row of the first."""
    first, other = measured(0.0), measured(0.0, 99.0)
    assert journal.record("m", "shadow", [first]) == [first]
    assert journal.record("m", "shadow", [other, measured(15.0)]) == [measured(15.0), first]
    assert journal.record("m", "shadow", [other], run="2") == [other]
    assert journal.record("m", "shadow", []) == []


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE events SET actor='eve'",
        "DELETE FROM events",
        "UPDATE heads SET hash='0'",
        "DELETE FROM heads",
        "UPDATE measurements SET row='{}'",
        "DELETE FROM measurements",
    ],
)
def test_the_database_itself_refuses_to_rewrite_history(store, journal, statement):
    """An UPDATE or DELETE fails unless somebody drops the trigger first."""
    journal.append("held", migration_id="m", actor="ana", body={"step": "shadow"})
    journal.record("m", "shadow", [measured(0.0)])
    with pytest.raises(store.refusal, match="append-only"):
        store.sql(statement)
    assert len(journal.events()) == len(journal.measurements("m", "shadow")) == 1


def test_text_that_a_database_cannot_hold_is_kept_readable(journal):
    """A NUL or half a surrogate pair in a name is no reason to lose the act."""
    journal.append("audit_note", migration_id="m", actor="a\x00b\ud800", body={"x": "\x00\ud800"})
    (event,) = journal.events()
    assert event.actor == "a\\x00b\\ud800"
    assert event.body == {"x": "\x00\ud800"}
    assert journal.verify().ok


@pytest.mark.parametrize("writers", [2])
def test_one_tick_written_by_two_at_once_is_there_once(store, journal, writers):
    """The unique key decides, not who asked first."""
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(writers, mp_context=spawn) as pool:
        list(pool.map(_record_many, [store.url] * writers, [store.home] * writers))
    assert [m.tick_seconds for m in journal.measurements("m", "shadow")] == list(range(20))


def _record_many(url, home):
    journal = Journal(url, home=home)
    for tick in range(20):
        journal.record("m", "shadow", [measured(float(tick))])


@pytest.mark.parametrize(
    "url", ["frobdb://u:secret@h/x", "postgresql+psycopg2://u:secret@h:abc/x", "://"]
)
def test_an_unusable_url_is_an_unavailable_journal(url):
    """A rollback goes on without a journal whose URL is wrong, and no password is shown."""
    with pytest.raises(JournalUnavailable, match="journal_url") as refusal:
        Journal(url)
    assert "secret" not in str(refusal.value)


def test_the_newest_renewal_is_the_lease(store, journal):
    """Also a shorter one: a gate takes over from the act before it; each migration has its own."""
    assert journal.lease("m") is None
    journal.renew_lease("m", holder="act cutover-10", seconds=700.0)
    renewed = journal.renew_lease("m", holder="gate cutover-10", seconds=60.0)
    journal.renew_lease("other", holder="gate shadow", seconds=5.0)

    assert store.open().lease("m") == renewed
    assert renewed.expires_at == renewed.renewed_at + 60.0
    assert journal.lease("nobody") is None


def test_the_last_tick_of_a_run_is_known_without_its_measurements(journal):
    """What the guard asks each second, of a day of measurements."""
    assert journal.last_tick_seconds("m", "cutover-10") is None
    journal.record("m", "cutover-10", [measured(0.0), measured(15.0), measured(10.0)])
    journal.record("m", "cutover-10", [measured(30.0)], run="2")
    assert journal.last_tick_seconds("m", "cutover-10") == 15.0
    assert journal.last_tick_seconds("m", "cutover-10", "2") == 30.0


def test_events_can_be_asked_for_from_a_seq_on(journal):
    """A reader that follows the journal reads each event once."""
    written = [note(journal, number) for number in range(4)]
    assert journal.events(after_seq=2) == written[2:]
    assert journal.events(after_seq=4) == []
