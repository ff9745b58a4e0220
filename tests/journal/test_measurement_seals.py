"""Measurements are evidence: what a verdict stands on can be neither changed, added nor removed."""

import json
import threading

import pytest

from feed_migration.gates.record import join_gate, record_verdict
from feed_migration.gates.run import GateRun
from feed_migration.journal.keys import AuditPlace, make_key
from feed_migration.journal.seals import SEALS_PER_NOTE
from feed_migration.model import Decision, Measurement, Outcome, Verdict
from tests.support import gate_traces as gates
from tests.support.migration_plans import begin

STEP = "cutover-10"


def measured(tick, outcome=Outcome.SUCCESS, criterion="stale"):
    return Measurement(
        criterion=criterion,
        tick_seconds=tick,
        outcome=outcome,
        counts_as=outcome,
        value=1.0,
        threshold="failure >= 45",
        series=(),
        query="q",
    )


class Gate:
    """One run of a gate in a signed journal: a failure, then a success."""

    def __init__(self, store):
        make_key(AuditPlace.of(store.home, {}))
        self.store, self.journal = store, store.open()
        self.migration_id = begin(self.journal)
        self.start = self.join("first")
        self.record(measured(0.0, Outcome.FAILURE), measured(0.0, criterion="gaps"))
        self.record(measured(15.0))

    def join(self, key):
        return join_gate(
            self.journal,
            migration_id=self.migration_id,
            step=STEP,
            key=key,
            actor="ana",
            started_unix=1.0,
        )

    def record(self, *rows, run="1"):
        self.journal.record(self.migration_id, STEP, rows, run=run)

    def judge(self, decision=Decision.PROMOTE, at_seconds=15.0):
        verdict = Verdict(decision=decision, at_seconds=at_seconds)
        record_verdict(self.journal, self.start, verdict)
        return self.journal.events(self.migration_id, "verdict")[-1]

    def row(self, outcome):
        """The text of the first row with another outcome, as somebody would forge it."""
        return _canonical(measured(0.0, outcome).to_row())


@pytest.fixture
def gate(store):
    return Gate(store)


def _canonical(row):
    return json.dumps(row, sort_keys=True, separators=(",", ":"))


TAMPERINGS = {
    "changed": ("UPDATE measurements SET row = ? WHERE criterion = 'stale' AND tick_seconds = 0",),
    "removed": ("DELETE FROM measurements WHERE criterion = 'stale' AND tick_seconds = 0",),
    "removed with its seal": (
        "DELETE FROM measurements WHERE tick_seconds = 0",
        "DELETE FROM seals WHERE number = 1",
    ),
    "seal removed": ("DELETE FROM seals WHERE number = 2",),
    "all seals removed": ("DELETE FROM seals",),
    "moved": ("UPDATE measurements SET tick_seconds = 30 WHERE tick_seconds = 15",),
    "no text": ("UPDATE seals SET covers = '{}' WHERE number = 1",),
    "forged signature": ("UPDATE seals SET signature = 'zz' WHERE number = 2",),
    "no signature": ("UPDATE seals SET key = '', signature = ''",),
    "added": (
        """INSERT INTO measurements SELECT migration_id, step, run, criterion, 45, row
        FROM measurements WHERE tick_seconds = 15""",
    ),
}


@pytest.mark.parametrize("judged", [True, False])
@pytest.mark.parametrize("name", TAMPERINGS)
def test_tampering_with_measurements_is_found_and_the_run_is_named(store, gate, name, judged):
    """Before the verdict as behind it: a judge that is resumed reads them from the database."""
    if judged:
        gate.judge()
    assert gate.journal.verify().sealed == 3
    values = (gate.row(Outcome.SUCCESS),)
    store.tamper(*((sql, values if "?" in sql else ()) for sql in TAMPERINGS[name]))
    result = gate.journal.verify()
    assert not result.ok
    assert f"measurements of {gate.migration_id} {STEP}, run 1: " in result.reason
    began = next(e for e in gate.journal.events() if e.kind == "step_started")
    assert result.first_bad_seq == began.seq


@pytest.mark.parametrize("name", [*TAMPERINGS, None])
def test_a_gate_that_is_resumed_holds_over_tampered_measurements(store, gate, name):
    """A judge was killed, somebody turned its failure into a success; untouched it decides."""
    values = (gate.row(Outcome.SUCCESS),)
    store.tamper(*((sql, values if "?" in sql else ()) for sql in TAMPERINGS.get(name, ())))
    verdict = GateRun(
        gate=gates.gate(),
        step_name=STEP,
        migration_id=gate.migration_id,
        started_unix=1.0,
        fleet_size=1,
        source=gates.Recording([{"stale": gates.KINDS["good"]}], started_unix=1.0),
        journal=store.open(),
    ).tick(31.0)
    if name is None:
        assert verdict.decision is Decision.ROLLBACK
        return
    assert verdict.decision is Decision.HOLD
    altered = store.open().altered(gate.migration_id, STEP)
    assert altered
    assert altered in gate.journal.verify().reason
    assert altered in verdict.reasons[0].text


def test_of_an_open_gate_the_chain_names_the_seals_now_and_then(store, gate):
    """More cannot be cut off unseen than was recorded since, and that is asked again."""
    for tick in range(2, SEALS_PER_NOTE + 1):
        gate.record(measured(tick * 15.0))
    note = gate.journal.events(gate.migration_id, "audit_note")[-1]
    assert (note.body["note"], note.body["measured"]["seals"]) == ("measured", SEALS_PER_NOTE)
    assert gate.journal.verify().anchored_seq == note.seq
    last = SEALS_PER_NOTE * 15.0
    for seal, tick in ((SEALS_PER_NOTE + 1, last), (SEALS_PER_NOTE, last - 15.0)):
        assert gate.journal.altered(gate.migration_id, STEP) == ""
        store.tamper(
            f"DELETE FROM measurements WHERE tick_seconds >= {tick}",  # noqa: S608 - a number
            f"DELETE FROM seals WHERE number >= {seal}",  # noqa: S608 - a number
        )
    missed = f"not those that event {note.seq} names"
    assert gate.journal.altered(gate.migration_id, STEP) == missed
    assert missed in gate.journal.verify().reason


def test_a_judge_beside_makes_no_false_alarm(store, gate):
    """Rows and seals are read as of one moment, while another records."""
    other, stop, found = store.open(), threading.Event(), []

    def look():
        while not stop.is_set():
            found.append(other.altered(gate.migration_id, STEP))

    thread = threading.Thread(target=look)
    thread.start()
    try:
        for tick in range(2, 40):
            gate.record(measured(tick * 15.0))
    finally:
        stop.set()
        thread.join()
    assert set(found) == {""}


def test_what_is_recorded_over_forged_rows_does_not_bear_them_out(store, gate):
    """A judge goes on over a changed row, with seals and a verdict of its own."""
    forged = gate.row(Outcome.SUCCESS)
    store.tamper(("UPDATE measurements SET row = ? WHERE tick_seconds = 0", (forged,)))
    gate.record(measured(30.0))
    gate.judge()
    result = gate.journal.verify()
    assert not result.ok
    assert "stale at 0.0 s" in result.reason


def test_an_end_cut_off_behind_a_verdict_is_found_without_any_key(store):
    """The verdict says how many seals there were, and stands in the anchored chain."""
    journal = store.open()
    migration_id = begin(journal)
    for tick in (0.0, 15.0):
        journal.record(migration_id, STEP, [measured(tick)])
    body = {"step": STEP, "run": "1", "decision": "Promote", "at_seconds": 15.0, "reasons": []}
    verdict = journal.append("verdict", migration_id=migration_id, actor="gate", body=body)
    assert verdict.body["measured"]["seals"] == 2
    store.tamper(
        "DELETE FROM measurements WHERE tick_seconds = 15", "DELETE FROM seals WHERE number = 2"
    )
    result = journal.verify()
    assert not result.ok
    assert f"not those that event {verdict.seq} names" in result.reason


def test_honest_rows_that_come_late_are_no_alarm(store, gate):
    """Another judges the same run: it writes ticks of before and behind the verdict."""
    gate.judge()
    other = store.open()
    other.record(gate.migration_id, STEP, [measured(15.0, criterion="gaps"), measured(0.0)])
    other.record(gate.migration_id, STEP, [measured(30.0)])
    assert gate.judge(Decision.ROLLBACK, 30.0).body["measured"]["seals"] == 4
    assert (gate.journal.verify().ok, gate.journal.verify().sealed) == (True, 5)


def test_whole_seconds_are_sealed_as_they_are_read(gate):
    """A tick of 30 and one of 30.0 are one."""
    gate.record(measured(30))
    gate.record(measured(30.0))
    assert (gate.journal.verify().ok, gate.journal.verify().sealed) == (True, 4)


def test_each_run_has_seals_of_its_own(gate):
    """A gate that is begun again inherits nothing."""
    gate.judge(Decision.HOLD)
    gate.start = gate.join("second")
    gate.record(measured(0.0), run="2")
    assert gate.judge().body["measured"]["seals"] == 1
    assert gate.journal.verify().ok


def test_a_repeat_of_what_is_known_has_no_seal(gate):
    """The first one written stands, and so does its seal."""
    gate.record(measured(0.0), measured(15.0))
    assert gate.judge().body["measured"]["seals"] == 2


def test_a_journal_of_an_earlier_version_verifies_and_says_what_is_not_covered(store):
    """Neither its measurements nor its verdicts know of seals."""
    journal = store.open()
    body = {"plan": "p", "plan_sha256": "x", "epoch": 1, "run_key": "", "steps": []}
    journal.append("migration_started", migration_id="old", actor="ana", body=body)
    journal.record("old", STEP, [measured(0.0), measured(15.0)])
    store.tamper("DELETE FROM seals")
    result = journal.verify()
    assert (result.ok, result.sealed, result.unsealed) == (True, 0, 2)
    journal.record("old", STEP, [measured(30.0)])
    result = journal.verify()
    assert (result.ok, result.sealed, result.unsealed) == (True, 1, 2)


def test_a_run_that_began_before_the_key_was_made_needs_no_signature(store):
    """Its verdict has a signed head, and names its seals."""
    journal = store.open()
    migration_id = begin(journal)
    journal.record(migration_id, STEP, [measured(0.0)])
    make_key(AuditPlace.of(store.home, {}), since=journal.events()[-1].seq + 1)
    later = store.open()
    body = {"step": STEP, "run": "1", "decision": "Promote", "at_seconds": 0.0, "reasons": []}
    later.append("verdict", migration_id=migration_id, actor="gate", body=body)
    assert later.verify().ok
