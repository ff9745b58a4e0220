"""Telling: once per event and channel, at least once over crashes, and nobody waits for a channel."""

import threading
import time

import pytest

from feed_migration.addresses import Addresses
from feed_migration.journal.notice_ledger import (
    CLAIM_SECONDS,
    RETRY_SECONDS,
    Attempt,
    Stage,
    next_attempt,
)
from feed_migration.journal.store import Journal
from feed_migration.notices.notice import Kind
from feed_migration.notices.outlet import Outlet, SendFailed, describe
from feed_migration.notices.teller import NEWS_SECONDS, Teller
from feed_migration.notices.webhook import post
from tests.support.conditions import eventually_sync
from tests.support.inboxes import web_inbox
from tests.support.migration_plans import begin

ADDRESSES = Addresses(airflow="http://airflow", prometheus="http://prometheus")
SECRET = "T0P-s3cret-path"


class Clock:
    def __init__(self) -> None:
        self.now = time.time()

    def __call__(self) -> float:
        return self.now


class Channel:
    """An outlet in memory; `fails` is raised, `holds` is waited for."""

    def __init__(self) -> None:
        self.sent: list[str] = []
        self.fails: Exception | None = None
        self.holds = threading.Event()
        self.holds.set()

    def __call__(self, notice) -> None:
        self.holds.wait(30)
        if self.fails is not None:
            raise self.fails
        self.sent.append(notice.key)

    def outlet(self, name="chat", kinds=frozenset(Kind)) -> Outlet:
        return Outlet(name=name, kinds=kinds, send=self)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def journal(tmp_path, clock) -> Journal:
    return Journal(tmp_path / "journal.db", clock=clock)


def teller(clock, *outlets, holder="one", **more) -> Teller:
    return Teller(outlets, ADDRESSES, holder=holder, clock=clock, **more)


def say(journal, migration_id, it: Teller, seconds=5.0) -> bool:
    it.tell(journal, migration_id)
    return it.settle(seconds)


def notes(journal) -> list[dict]:
    found = journal.events(kind="audit_note")
    return [dict(note.body) for note in found if note.body["note"] == "notice_failed"]


def test_an_event_is_told_once_whoever_sees_it_again(journal, clock):
    """A retry, another worker and a teardown look at the same journal."""
    migration_id, chat = begin(journal), Channel()
    for holder in ("task", "retry", "guard"):
        assert say(journal, migration_id, teller(clock, chat.outlet(), holder=holder))
    assert chat.sent == ["begun"]


def test_of_many_that_tell_at_once_one_does(journal, clock):
    """The claim is in the journal, and writers there are serial."""
    migration_id, chat = begin(journal), Channel()
    tellers = [teller(clock, chat.outlet(), holder=str(number)) for number in range(6)]
    for each in tellers:
        each.tell(journal, migration_id)
    assert all(each.settle(20) for each in tellers)
    assert chat.sent == ["begun"]


def test_who_dies_between_claim_and_word_is_made_up_for(journal, clock):
    """Whether it was sent nobody knows, so it is sent again: at least once."""
    migration_id, chat = begin(journal), Channel()
    ledger = journal.notice_ledger()
    assert ledger.claim(migration_id, "begun", "chat", holder="dead", now=clock()) == 1
    say(journal, migration_id, teller(clock, chat.outlet()))
    assert chat.sent == []
    clock.now += CLAIM_SECONDS
    say(journal, migration_id, teller(clock, chat.outlet()))
    assert chat.sent == ["begun"]


def test_a_claim_whose_owner_is_gone_is_taken_over_within_seconds():
    """A person who is asked, or a held fleet, cannot wait for a minute."""
    assert CLAIM_SECONDS <= 10.0
    claim = Attempt(
        migration_id="m",
        key="k",
        channel="c",
        attempt=1,
        stage=Stage.CLAIMED,
        at=1000.0,
        holder="dead",
    )
    assert next_attempt([claim], 1000.0 + CLAIM_SECONDS - 1, "next") is None
    assert next_attempt([claim], 1000.0 + CLAIM_SECONDS, "next") == 1
    # the same sender, started anew, counts on
    assert next_attempt([claim], 1000.0 + CLAIM_SECONDS, "dead") == 2
    # a holder whose clock is ahead is as alive as any other
    assert next_attempt([claim], 999.0, "next") is None


def test_a_slow_sender_keeps_its_claim(journal, clock, monkeypatch):
    """It renews it, so that nobody else sends the same."""
    monkeypatch.setattr("feed_migration.notices.delivery.RENEW_SECONDS", 0.02)
    migration_id, slow, other = begin(journal), Channel(), Channel()
    slow.holds.clear()
    it = teller(clock, slow.outlet())
    it.tell(journal, migration_id)
    clock.now += CLAIM_SECONDS

    def newest_claim() -> float:
        rows = journal.notice_ledger().attempts(migration_id).get(("begun", "chat"), [])
        return rows[-1].at if rows else 0.0

    eventually_sync(lambda: newest_claim() == clock.now)
    assert say(journal, migration_id, teller(clock, other.outlet(), holder="other"))
    slow.holds.set()
    assert it.settle(5)
    assert say(journal, migration_id, teller(clock, other.outlet(), holder="other"))
    assert (slow.sent, other.sent) == (["begun"], [])


def test_a_channel_that_hangs_holds_up_neither_the_caller_nor_the_others(journal, clock):
    """`tell` returns at once, and each channel has a thread of its own."""
    migration_id, stuck, chat = begin(journal), Channel(), Channel()
    stuck.holds.clear()
    it = teller(clock, stuck.outlet("stuck"), chat.outlet())
    began = time.monotonic()
    it.tell(journal, migration_id)
    assert time.monotonic() - began < 5.0
    eventually_sync(lambda: chat.sent == ["begun"])
    assert not it.settle(0.05)
    stuck.holds.set()
    assert it.settle(5)


def test_a_failure_is_visible_once_and_tried_again_later(journal, clock):
    """The audit log names channel, notice and error; then the channel is well again."""
    migration_id, chat = begin(journal), Channel()
    chat.fails = SendFailed("status 500")
    for _ in range(3):
        say(journal, migration_id, teller(clock, chat.outlet()))
        clock.now += RETRY_SECONDS[0]
    (note,) = notes(journal)
    assert (note["channel"], note["notice"], note["error"]) == ("chat", "begun", "status 500")
    chat.fails = None
    clock.now += RETRY_SECONDS[1]
    say(journal, migration_id, teller(clock, chat.outlet()))
    assert chat.sent == ["begun"]
    assert journal.verify().ok


def test_a_channel_is_given_up_after_its_attempts():
    """A webhook that is gone for good is not asked for ever."""
    rows: list[Attempt] = []
    now = 0.0
    while (number := next_attempt(rows, now, "h")) is not None:
        name = {"migration_id": "m", "key": "k", "channel": "c", "attempt": number, "holder": "h"}
        rows += [Attempt(**name, stage=stage, at=now) for stage in (Stage.CLAIMED, Stage.FAILED)]
        now += max(RETRY_SECONDS)
    assert rows[-1].attempt == len(RETRY_SECONDS) + 1


def test_who_cannot_get_out_uses_up_nobody_elses_attempts(journal, clock):
    """The guard's URL is wrong, or its network has no way out; Airflow's connection is well."""
    migration_id, shut, chat = begin(journal), Channel(), Channel()
    shut.fails = SendFailed("ConnectionError")
    guard = teller(clock, shut.outlet(), holder="guard:here")
    say(journal, migration_id, guard)
    # at once: what the guard has to wait for is not Airflow's to wait for
    say(journal, migration_id, teller(clock, chat.outlet(), holder="airflow:there"))
    assert chat.sent == ["begun"]


def test_after_one_has_given_up_another_tells(journal, clock):
    """Six attempts are each sender's own."""
    migration_id, shut, chat = begin(journal), Channel(), Channel()
    shut.fails = SendFailed("ConnectionError")
    guard = teller(clock, shut.outlet(), holder="guard:here")
    for pause in (*RETRY_SECONDS, 0.0):
        assert guard.tell(journal, migration_id)
        assert guard.settle(5)
        clock.now += pause
    assert not guard.tell(journal, migration_id), "it has given up"
    say(journal, migration_id, teller(clock, chat.outlet(), holder="airflow:there"))
    assert chat.sent == ["begun"]


def test_the_audit_log_says_which_senders_a_channel_failed(journal, clock):
    """One that cannot get out hides nothing of another's fault."""
    migration_id, shut, gone = begin(journal), Channel(), Channel()
    shut.fails, gone.fails = SendFailed("ConnectionError"), SendFailed("status 404")
    for _ in range(2):
        say(journal, migration_id, teller(clock, shut.outlet(), holder="guard:here"))
        for host in ("one", "two"):
            say(journal, migration_id, teller(clock, gone.outlet(), holder=f"airflow:{host}"))
        clock.now += RETRY_SECONDS[0]
    assert [note["error"] for note in notes(journal)] == ["ConnectionError", "status 404"]


def test_old_events_are_no_news(journal, clock):
    """Who sets notifications up today is not told of last week."""
    migration_id, chat = begin(journal), Channel()
    clock.now += NEWS_SECONDS
    say(journal, migration_id, teller(clock, chat.outlet()))
    assert chat.sent == []


def test_what_became_untrue_while_the_channel_hung_is_not_told(journal, clock, monkeypatch):
    """An approval that is asked for after the answer sends somebody out of bed for nothing."""
    monkeypatch.setattr("feed_migration.notices.teller.FRESH_SECONDS", 0.0)
    migration_id, chat = begin(journal), Channel()
    note = {"note": "approval_asked", "id": "a", "step": "shadow", "until": clock() + 1800.0}
    journal.note(migration_id, "ana", note, once="id")
    chat.holds.clear()
    it = teller(clock, chat.outlet())
    it.tell(journal, migration_id)
    eventually_sync(lambda: journal.notice_ledger().attempts(migration_id))
    body = {"step": "shadow", "decision": "Approve", "reason": ""}
    journal.append("approval", migration_id=migration_id, actor="ann", body=body)
    chat.holds.set()
    assert it.settle(5)
    assert chat.sent == ["begun"]


def test_a_teller_of_last_resort_lets_the_others_go_first(journal, clock):
    """The guard tells what Airflow has left untold."""
    migration_id, chat = begin(journal), Channel()
    guard = teller(clock, chat.outlet(), patience=lambda _: 30.0)
    say(journal, migration_id, guard)
    assert chat.sent == []
    clock.now += 30.0
    say(journal, migration_id, guard)
    assert chat.sent == ["begun"]


def test_a_channel_gets_the_kinds_it_wants(journal, clock):
    """Stakeholders need not hear of every step."""
    migration_id, chat = begin(journal), Channel()
    say(journal, migration_id, teller(clock, chat.outlet(kinds=frozenset({Kind.HELD}))))
    assert chat.sent == []


@pytest.mark.parametrize("status", [301, 302, 404, 500, 503])
def test_only_a_2xx_is_a_delivery(status):
    """A redirect is none, and what the server says back reaches no error."""
    with web_inbox() as inbox:
        inbox.status = status
        with pytest.raises(SendFailed) as caught:
            post(f"{inbox.url}/{SECRET}", {"text": "x"})
    assert str(caught.value) == f"status {status}"


def test_errors_are_told_without_addresses():
    """The URL of a webhook is its secret, and libraries quote it."""
    error = ConnectionError(f"Max retries exceeded with url: /services/{SECRET}, status 503")
    assert describe(error) == "ConnectionError, status 503"
    with pytest.raises(SendFailed) as caught:
        post(f"http://127.0.0.1:9/{SECRET}", {})
    assert SECRET not in describe(caught.value)
