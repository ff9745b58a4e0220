"""The way back at a shell: which migration it takes."""

import json

import pytest

from feed_migration.guard.knowledge import Copy, KnowledgeFile, Known
from feed_migration.journal.keys import AuditPlace, make_key
from feed_migration.journal.spool import UNRESOLVED, Spool
from feed_migration.journal.store import Journal
from feed_migration.phases import Status
from feed_migration.take_back import take_back
from tests.cli.shell import invoke, newest
from tests.support.memory_fleet import MemoryFleet
from tests.support.migration_plans import begin


@pytest.fixture
def fleet(monkeypatch):
    """Instances that answer a rollback at once."""
    fleet = MemoryFleet()
    monkeypatch.setattr("feed_migration.cli.acts.open_fleet", lambda _: fleet)
    return fleet


def test_a_mistyped_id_takes_back_the_migration_that_is_active(capsys, journal, fleet):
    """It never refuses, and the journal does not go on to say that the fleet is on native."""
    active = journal.latest_migration()
    invoke(capsys, "hold")
    code, out, err = invoke(capsys, "rollback", "--migration", "mig-typo")
    assert code == 0
    assert out.startswith("rolled back: ")
    assert err == (
        f"backpack-migrate: the journal has no migration mig-typo: {active} is taken back, "
        "the active one\n"
    )
    assert newest(journal).status is Status.ROLLED_BACK
    assert journal.events("mig-typo") == []
    assert set(fleet.variant.values()) == {"ccxt"}


@pytest.mark.usefixtures("fleet")
def test_the_id_of_a_migration_that_is_over_takes_back_the_active_one(capsys, journal):
    """What is on native is the active one's; of the other nothing is left to take back."""
    earlier = journal.latest_migration()
    assert invoke(capsys, "rollback")[0] == 0
    told = len(journal.events(earlier))
    active = begin(journal)
    code, out, err = invoke(capsys, "rollback", "--migration", earlier, "--json")
    assert code == 0
    assert json.loads(out)["migration_id"] == active
    notices = [json.loads(line)["notice"] for line in err.splitlines()]
    assert notices == [f"{earlier} is rolled back already: {active} is taken back, the active one"]
    assert newest(journal).status is Status.ROLLED_BACK
    assert len(journal.events(earlier)) == told


def test_a_rollback_that_was_stopped_does_not_take_the_next_migration_back(
    capsys, journal, home, fleet, monkeypatch
):
    """Others have ended it; whoever wants the next one back has to say so."""
    earlier, tails = journal.latest_migration(), fleet.log_tails

    def stopped(ids, lines):
        monkeypatch.setattr(fleet, "log_tails", tails)
        spool = Spool(home / "spool.jsonl")
        take_back(fleet, journal, earlier, "guard:a", "breach", spool=spool)
        epoch = journal.state(begin(journal)).epoch
        fleet.set_variant(["feed-00"], "native", epoch=epoch)
        return tails(ids, lines)

    monkeypatch.setattr(fleet, "log_tails", stopped)
    code, out, err = invoke(capsys, "rollback")
    assert (code, out) == (1, "")
    assert (
        f"{earlier} is taken back already, and the fleet is {journal.latest_migration()}'s" in err
    )
    assert fleet.native == ["feed-00"]


@pytest.mark.usefixtures("fleet")
def test_with_none_active_the_latest_is_taken_back(capsys, journal):
    """Its report and its incident are what an operator looks at."""
    earlier = journal.latest_migration()
    invoke(capsys, "rollback")
    latest = begin(journal)
    invoke(capsys, "rollback")
    code, out, err = invoke(capsys, "rollback", "--migration", earlier, "--json")
    assert code == 0
    assert json.loads(out)["migration_id"] == latest
    assert f"{latest} is taken back, the latest one" in err


@pytest.mark.usefixtures("fleet")
@pytest.mark.parametrize("given", [None, "the right one"])
def test_the_right_id_and_none_are_nothing_to_speak_of(capsys, journal, given):
    """No notice where what was meant is what is done."""
    active = journal.latest_migration()
    words = () if given is None else ("--migration", active)
    code, out, err = invoke(capsys, "rollback", *words, "--json")
    assert (code, err) == (0, "")
    assert json.loads(out)["migration_id"] == active


@pytest.mark.usefixtures("fleet")
@pytest.mark.parametrize("damage", ["none yet", "away"])
def test_where_the_journal_knows_none_the_given_id_is_all_there_is(
    capsys, airflow, tmp_path, damage
):
    """A journal that is away or empty cannot say which one was meant."""
    if damage == "away":
        (tmp_path / "journal.db").mkdir()
    code, out, err = invoke(capsys, "rollback", "--migration", "mig-0007", "--json")
    assert code == 0
    assert json.loads(out)["migration_id"] == "mig-0007"
    assert "is taken back" not in err


def test_without_the_signing_key_it_goes_back_and_says_where_its_events_are(
    capsys, journal, fleet, home, tmp_path_factory
):
    """The others sign: one word of its own in the log would be tampering for good."""
    airflow = tmp_path_factory.mktemp("airflow")
    make_key(AuditPlace.of(airflow, {}), since=journal.events()[-1].seq + 1)
    signed = Journal(home / "journal.db", home=airflow)
    active = signed.latest_migration()
    signed.append("audit_note", migration_id=active, actor="ana", body={"note": "key"})
    code, out, err = invoke(capsys, "rollback", "--json")
    assert code == 0
    assert json.loads(out)["next"] == ["mount the audit's signing key"]
    notices = [json.loads(line)["notice"] for line in err.splitlines() if line.startswith("{")]
    assert len(notices) == 1
    assert "wait in the spool" in notices[0]
    assert "BACKPACK_AUDIT_KEY_FILE" in notices[0]
    assert set(fleet.variant.values()) == {"ccxt"}
    assert "rollback_verified" in (home / "journal.spool.jsonl").read_text()
    assert signed.verify().ok
    code, _, err = invoke(capsys, "status")
    assert (code, "what follows may lack" in err) == (0, True)


@pytest.mark.usefixtures("airflow", "fleet")
@pytest.mark.parametrize(
    ("status", "given", "taken"),
    [
        (Status.RUNNING, (), "mig-0008"),
        (Status.RUNNING, ("--migration", "mig-0007"), "mig-0007"),
        (Status.ROLLED_BACK, (), None),
    ],
)
def test_without_a_journal_the_guard_s_copy_says_which_migration_it_is(
    capsys, home, status, given, taken
):
    """One that it knows to be taken back is not meant; a person who names another knows better."""
    (home / "journal.db").mkdir()
    known = Known(migration_id="mig-0008", status=status)
    KnowledgeFile(home / "guard" / "known.json").save(Copy(known=known, read_at=1.0))
    code, out, _ = invoke(capsys, "rollback", *given, "--json")
    assert (code, json.loads(out)["migration_id"]) == (0, taken)
    lines = (home / "journal.spool.jsonl").read_text().splitlines()
    named = {json.loads(line)["migration_id"] for line in filter(None, lines)}
    assert named == {taken or UNRESOLVED}
