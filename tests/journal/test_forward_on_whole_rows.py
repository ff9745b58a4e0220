"""Nothing goes forward on rows that the chain does not bear out, and the way back asks none."""

# ruff: noqa: S608 - the tests write the SQL, nobody else

import json

import pytest

from feed_migration import cutover, rollback
from feed_migration.errors import JournalUnavailable
from feed_migration.journal.chain import canonical_json, row_hash
from feed_migration.model import Decision
from feed_migration.orchestration.closing import close_promoted
from feed_migration.phases import Status
from tests.support.memory_fleet import MemoryFleet
from tests.support.migration_plans import PLAN, begin, gate, pass_steps

STEP = "cutover-10"
FORWARD = ("step_started", "act_intended", "step_promoted")


@pytest.fixture
def fleet():
    return MemoryFleet()


@pytest.fixture
def journal(store):
    return store.open()


@pytest.fixture
def held(journal, fleet):
    """A migration whose gate of the first instances on native has said Hold."""
    migration_id = begin(journal)
    pass_steps(journal, fleet, migration_id, until=STEP)
    cutover.advance(PLAN.step(STEP), PLAN, fleet, journal, migration_id, "ana")
    gate(journal, migration_id, STEP, "Hold")
    body = {"step": STEP, "reason": "stale"}
    journal.append("held", migration_id=migration_id, actor="gate", body=body)
    return migration_id


def seq_of(journal, kind):
    return journal.events(kind=kind)[-1].seq


def flip(store, journal, kind, **changes):
    """Change the body of the newest event of a kind, and leave all hashes."""
    event = journal.events(kind=kind)[-1]
    body = canonical_json({**event.body, **changes})
    store.tamper(("UPDATE events SET body = ? WHERE seq = ?", (body, event.seq)))
    return event.seq


def appended(journal, kind, migration_id):
    return journal.append(kind, migration_id=migration_id, actor="ana", body={"step": STEP})


def test_a_hold_that_is_made_a_promote_promotes_nothing(store, journal, fleet, held):
    """The first wrong event is named, and how to look at it; the fleet stays as it is."""
    seq = flip(store, journal, "verdict", decision=str(Decision.PROMOTE))
    before = [event.seq for event in journal.events()]
    with pytest.raises(JournalUnavailable, match=f"event {seq} is .* changed after it was written"):
        cutover.promote(PLAN.step(STEP), PLAN, journal, held, "ana")
    with pytest.raises(JournalUnavailable, match="`backpack-migrate audit verify`"):
        cutover.promote(PLAN.step(STEP), PLAN, store.open(), held, "ana")
    assert [event.seq for event in journal.events()] == before
    assert journal.flaw_of(held).startswith(f"event {seq} is the first wrong one")


def test_the_way_back_and_notes_need_no_whole_rows(store, journal, fleet, held):
    """Who takes the fleet back is never kept from it."""
    flip(store, journal, "verdict", decision=str(Decision.PROMOTE))
    assert journal.note(held, "ana", {"note": "seen", "id": "1"}, once="id")
    rollback.revert(fleet, journal, held, "ana", "tampered with")
    rollback.verify(fleet, journal, held, "ana")
    assert (fleet.native, journal.state(held).status) == ([], Status.ROLLED_BACK)
    body = {"outcome": "rolled_back"}
    journal.append("migration_finished", migration_id=held, actor="ana", body=body)


@pytest.mark.parametrize("how", ["delete", "swap", "truncate", "rewrite", "move", "head"])
def test_every_kind_of_tampering_stops_what_goes_forward(store, journal, held, how):
    """Acts, beginnings, promotions, and the next migration."""
    seq, end = seq_of(journal, "verdict"), seq_of(journal, "held")
    tampering = {
        "delete": [f"DELETE FROM events WHERE seq = {seq}"],
        "swap": [
            f"UPDATE events SET seq = -1 WHERE seq = {seq}",
            f"UPDATE events SET seq = {seq} WHERE seq = {end}",
            f"UPDATE events SET seq = {end} WHERE seq = -1",
        ],
        "truncate": [f"DELETE FROM events WHERE seq >= {seq}"],
        "rewrite": rewritten(journal, seq),
        "move": [f"UPDATE events SET migration_id = 'another' WHERE seq = {seq}"],
        "head": [f"DELETE FROM heads WHERE seq = {seq}"],
    }
    store.tamper(*tampering[how])
    for kind in FORWARD:
        with pytest.raises(JournalUnavailable, match=r"event \d+ .*audit verify"):
            appended(journal, kind, held)
    with pytest.raises(JournalUnavailable, match=r"event \d+ .*audit verify"):
        journal.begin_migration("p", "x", "ana")
    assert not journal.verify().ok


def rewritten(journal, seq):
    """SQL that makes the verdict a Promote, with every hash behind it computed anew."""
    statements, prev = [], None
    for event in journal.events(after_seq=seq - 1):
        body = {**event.body, "decision": "Promote"} if event.seq == seq else event.body
        prev = prev or event.prev_hash
        who = (event.seq, event.at, event.migration_id, event.kind, event.actor)
        own = row_hash((*who, text := canonical_json(body), prev, ""))
        sql = "UPDATE events SET body = ?, prev_hash = ?, hash = ? WHERE seq = ?"
        statements.append((sql, (text, prev, own, event.seq)))
        prev = own
    return statements


def test_an_intent_that_was_written_by_hand_moves_nothing(store, journal, fleet, held):
    """A step that finds its own intent has nothing to write, and is held to the chain as well."""
    gate(journal, held, STEP, "Promote", run="2")
    cutover.promote(PLAN.step(STEP), PLAN, journal, held, "ana")
    names = list(cutover.ramp(50, [status.id for status in fleet.instances()]))
    act = {"act": "set_variant", "variant": "native", "instances": names, "step": "cutover-50"}
    body = canonical_json({**act, "epoch": journal.state(held).epoch})
    for kind in ("approval", "audit_note"):
        body_of = {"step": "cutover-50", "decision": "Approve", "reason": ""}
        journal.append(kind, migration_id=held, actor="ana", body=body_of)
    seq = seq_of(journal, "audit_note")
    sql = "UPDATE events SET kind = 'act_intended', body = ? WHERE seq = ?"
    store.tamper((sql, (body, seq)))
    assert dict(journal.state(held).pending_act or {}) == json.loads(body)
    before = fleet.native
    with pytest.raises(JournalUnavailable, match=f"event {seq} is the first wrong one"):
        cutover.advance(PLAN.step("cutover-50"), PLAN, fleet, journal, held, "ana")
    assert fleet.native == before


def test_a_migration_that_was_tampered_with_is_not_finished(store, journal, tmp_path):
    """Its end would send the guard home."""
    migration_id = begin(journal)
    store.tamper("UPDATE events SET actor = 'eve' WHERE seq = 1")
    places = dict.fromkeys(("root", "parity"), tmp_path)
    with pytest.raises(JournalUnavailable, match="event 1 is the first wrong one"):
        close_promoted(
            journal, migration_id, "ana", instances={}, page=tmp_path / "page.md", **places
        )
    assert journal.state(migration_id).status is Status.RUNNING


def test_rows_of_an_earlier_migration_are_left_to_the_verification(store, journal, fleet):
    """A migration that is under way rests on its own rows."""
    first = begin(journal)
    rollback.revert(fleet, journal, first, "ana", "a trial")
    rollback.verify(fleet, journal, first, "ana")
    seq = seq_of(journal, "rollback_verified")
    second = begin(journal)
    store.tamper(f"UPDATE events SET actor = 'eve' WHERE seq = {seq}")
    appended(journal, "step_started", second)
    assert (journal.flaw_of(second), journal.verify().first_bad_seq) == ("", seq)
    assert journal.flaw_of(first).startswith(f"event {seq} is the first wrong one")
