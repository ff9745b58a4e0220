"""Since when everything is signed: a history that was rewritten without the key is found again.

Whoever does that owns the database and the anchors, not the keys. The next honest event is signed
over it all the same, and must not make it look signed.
"""

from dataclasses import asdict

import pytest

from feed_migration.errors import UsageError
from feed_migration.events import Event
from feed_migration.journal.chain import canonical_json, row_hash, row_of
from feed_migration.journal.export import open_line, proof_line
from feed_migration.journal.keys import AuditPlace, Trusted, load_trusted, make_key
from feed_migration.journal.seals import NO_SEAL, RunKey, row_digest, seal_hash
from feed_migration.model import Outcome
from tests.journal.test_measurement_seals import STEP, Gate, measured
from tests.support.migration_plans import begin

INSERT_HEAD = "INSERT INTO heads (seq, hash, at, key, signature) VALUES (?, ?, ?, ?, ?)"
OTHER_HEADS = {
    "without signatures": lambda head: {**head, "key": "", "signature": ""},
    "with those of before": lambda head: head,
    "with nonsense": lambda head: {**head, "signature": "ab" * 64},
    "removed": lambda _: None,
}


@pytest.fixture
def place(store):
    return AuditPlace.of(store.home, {})


def note(journal, number=0):
    journal.append("audit_note", migration_id="m", actor="ana", body={"number": number})


def filled(journal):
    """A migration that says that its every event has a head, and two notes."""
    begin(journal)
    note(journal, 1)
    note(journal, 2)
    return journal


def rewrite(store, place, journal, heads, *, after=0):
    """Do to every event behind `after` what somebody without the key can do, anchors included."""
    events, kept = journal.events(), [asdict(head) for head in journal.heads()]
    prev, statements = events[after].prev_hash, []
    for event, head in zip(events[after:], kept[after:], strict=True):
        # nor need a migration say any more that its every event has a head
        body = {key: value for key, value in event.body.items() if key != "audit"}
        forged = {**event.__dict__, "actor": "eve", "body": body, "prev_hash": prev}
        digest = row_hash(row_of(Event(**forged)))
        statements += [
            (
                "UPDATE events SET actor = ?, body = ?, prev_hash = ?, hash = ? WHERE seq = ?",
                ("eve", canonical_json(body), prev, digest, event.seq),
            ),
            ("DELETE FROM heads WHERE seq = ?", (event.seq,)),
        ]
        kept[event.seq - 1] = other = OTHER_HEADS[heads]({**head, "hash": digest})
        if other is not None:
            statements.append((INSERT_HEAD, tuple(other.values())))
        prev = digest
    store.tamper(*statements)
    place.anchors.write_text("".join(canonical_json(head) + "\n" for head in kept if head))


@pytest.mark.parametrize("heads", OTHER_HEADS)
@pytest.mark.parametrize("after", [0, 1, 2])
def test_a_rewrite_without_the_key_is_found_behind_the_next_honest_event(
    store, place, heads, after
):
    """From the beginning, or from any event on."""
    make_key(place)
    journal = filled(store.open())
    rewrite(store, place, journal, heads, after=after)
    assert not store.open().verify().ok
    note(store.open(), 3)
    result = journal.verify()
    assert (result.ok, result.first_bad_seq) == (False, after + 1)


def test_a_key_of_an_earlier_version_says_only_since_when_something_is_signed(store, place):
    """Its file has no number: what is shown then is where the signatures begin, as open."""
    place.trusted_keys.write_text(f"{make_key(place)}\n")
    journal = filled(store.open())
    assert proof_line(journal.verify()).startswith("signed up to event 3; ")
    assert open_line(journal.verify()) == ""
    rewrite(store, place, journal, "without signatures")
    note(store.open(), 3)
    result = journal.verify()
    assert result.ok
    assert proof_line(result).startswith("signed from event 4 up to event 4; ")
    assert open_line(result).startswith("open: nothing before event 4 was signed when")


@pytest.mark.parametrize("heads", OTHER_HEADS)
def test_a_key_that_came_later_covers_what_was_there(store, place, heads):
    """Nothing says whether that had been rewritten before; afterwards it cannot be."""
    journal = filled(store.open())
    make_key(place, since=4)
    note(store.open(), 3)
    note(store.open(), 4)
    result = journal.verify()
    assert (result.ok, result.signed_from, result.signed_seq) == (True, 4, 5)
    assert "nothing before event 4" in open_line(result)
    rewrite(store, place, journal, heads)
    note(store.open(), 5)
    assert not journal.verify().ok


def test_a_second_key_changes_nothing_of_what_had_to_be_signed(store, place):
    """The first one of those that say it; one of an earlier version beside it says nothing."""
    first = make_key(place)
    journal = filled(store.open())
    place.signing_key.unlink()
    second = make_key(place, since=4)
    note(store.open(), 3)
    trusted = load_trusted(place.trusted_keys)
    assert trusted == Trusted(keys=frozenset({first, second}), since=1)
    assert (journal.verify().ok, journal.verify().signed_from) == (True, 1)
    place.trusted_keys.write_text(f"{first}\n{second} from 4\n")
    assert load_trusted(place.trusted_keys).since == 4
    rewrite(store, place, journal, "without signatures")
    note(store.open(), 4)
    assert not journal.verify().ok


@pytest.mark.parametrize(
    "text", ["from 1", "{key} from", "{key} from x", "{key} 1", "{key} from -1"]
)
def test_a_line_that_is_no_key_is_a_mistake_of_the_caller(place, text):
    """And not a log without keys."""
    place.trusted_keys.parent.mkdir(exist_ok=True)
    place.trusted_keys.write_text(text.format(key="ab" * 32) + "\n")
    with pytest.raises(UsageError, match="not one public key"):
        load_trusted(place.trusted_keys)


# what each seal of `Gate` is over
SEALED = ([("stale", 0.0), ("gaps", 0.0)], [("stale", 15.0)])


def test_seals_made_anew_without_the_key_are_found_behind_the_next_honest_tick(store):
    """Of a gate that is open nothing in the chain names them yet."""
    gate = Gate(store)
    forged = gate.row(Outcome.SUCCESS)
    store.tamper(
        (
            "UPDATE measurements SET row = ? WHERE criterion = 'stale' AND tick_seconds = 0",
            (forged,),
        )
    )
    run, prev = RunKey(migration_id=gate.migration_id, step=STEP, run="1"), NO_SEAL
    rows = {
        (one.criterion, one.tick_seconds): one
        for one in gate.journal.measurements(gate.migration_id, STEP)
    }
    for number, names in enumerate(SEALED, start=1):
        digests = {name: row_digest(canonical_json(rows[name].to_row())) for name in names}
        prev = seal_hash(prev, run, number, digests)
        values = (prev, number)
        store.sql(("UPDATE seals SET hash = ?, key = '', signature = '' WHERE number = ?", values))
    gate.record(measured(30.0))
    assert "seal 1 is not signed" in store.open().altered(gate.migration_id, STEP)
    result = gate.journal.verify()
    assert (result.ok, "seal 1 is not signed by a trusted key" in result.reason) == (False, True)


def test_of_a_very_long_log_it_is_said_that_not_each_signature_was_checked(
    store, place, monkeypatch
):
    """A few events could then have been rewritten between two that were."""
    monkeypatch.setattr("feed_migration.journal.trail.MOST_SIGNATURES", 2)
    make_key(place)
    journal = filled(store.open())
    result = journal.verify()
    assert (result.ok, result.signed_every) == (True, 2)
    assert "one in 2 was checked" in open_line(result)
