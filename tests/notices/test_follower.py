"""What is told beside a process that may end at any moment, and when it ends."""

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from feed_migration.addresses import Addresses
from feed_migration.journal.notice_ledger import Stage
from feed_migration.journal.store import Journal
from feed_migration.notices.channel import Channel
from feed_migration.notices.follower import Follower
from feed_migration.notices.notice import Kind
from feed_migration.notices.outlet import Outlet, SendFailed
from feed_migration.notices.teller import Teller
from feed_migration.notices.webhook import outlets_outside
from tests.support.conditions import eventually_sync
from tests.support.inboxes import web_inbox
from tests.support.migration_plans import begin

ADDRESSES = Addresses(airflow="http://airflow", prometheus="http://prometheus")


@pytest.fixture
def inbox():
    with web_inbox() as inbox:
        yield inbox


@pytest.fixture
def journal(tmp_path):
    return Journal(tmp_path / "journal.db")


@pytest.fixture
def outlet(tmp_path, inbox) -> Outlet:
    url_file = tmp_path / "url"
    url_file.touch(mode=0o600)
    url_file.write_text(inbox.url)
    return hook(url_file)


def hook(url_file: Path) -> Outlet:
    channel = Channel(
        name="hook", kind="webhook", connection=None, url_file=url_file, kinds=frozenset(Kind)
    )
    (outlet,) = outlets_outside([channel])
    return outlet


def teller(outlet, holder="task", **more) -> Teller:
    return Teller([outlet], ADDRESSES, holder=holder, **more)


def stages(journal, migration_id):
    rows = journal.notice_ledger().attempts(migration_id).values()
    return [row.stage for of_one in rows for row in of_one]


def test_the_end_waits_for_a_slow_channel_as_long_as_it_may(journal, inbox, outlet):
    """A fresh process has imports to do, and its first message takes seconds."""
    migration_id = begin(journal)
    inbox.slow_seconds = 1.5
    assert Follower(lambda: journal, teller(outlet)).finish(20.0)
    assert stages(journal, migration_id) == [Stage.CLAIMED, Stage.TOLD]


def test_a_channel_at_work_takes_what_came_meanwhile_before_the_end(journal, inbox, outlet):
    """The last event of a task is told by the task, behind the message that is under way."""
    migration_id, it = begin(journal), teller(outlet)
    inbox.slow_seconds = 0.5
    it.tell(journal, migration_id)
    eventually_sync(lambda: inbox.paths)
    body = {"step": "shadow", "run": "1"}
    journal.append("step_started", migration_id=migration_id, actor="ana", body=body)
    assert Follower(lambda: journal, it).finish(20.0)
    assert [body["title"] for body in inbox.bodies] == ["Migration begun", "shadow begins"]


def test_the_end_waits_for_another_that_sends_and_tells_when_that_fails(journal, inbox, outlet):
    """The last task of a run has no task behind it that could."""
    migration_id, failing = begin(journal), threading.Event()

    def fail(_notice) -> None:
        failing.wait(30)
        raise SendFailed("ConnectionError")

    shut = Outlet(name=outlet.name, kinds=outlet.kinds, send=fail)
    guard = teller(shut, holder="guard:here")
    guard.tell(journal, migration_id)
    eventually_sync(lambda: stages(journal, migration_id) == [Stage.CLAIMED])
    task = Follower(lambda: journal, teller(outlet, holder="airflow:there"))
    ended: list[bool] = []
    end = threading.Thread(target=lambda: ended.append(task.finish(20.0)))
    end.start()
    # the end has looked, and has found what is under way elsewhere
    eventually_sync(lambda: any(t.name == "notices at last" for t in threading.enumerate()))
    assert ended == []
    failing.set()
    end.join(25)
    assert guard.settle(5)
    assert (ended, inbox.kinds()) == ([True], ["started"])


def test_the_end_asks_a_channel_that_is_down_once(journal, inbox, outlet):
    """Whatever else is left for it: a task's slot is held meanwhile."""
    migration_id = begin(journal)
    body = {"step": "shadow", "run": "1"}
    journal.append("step_started", migration_id=migration_id, actor="ana", body=body)
    inbox.status = 500
    assert Follower(lambda: journal, teller(outlet)).finish(10.0)
    assert len(inbox.paths) == 1


def test_who_leaves_claims_nothing_that_is_not_sent(journal, inbox, outlet):
    """A task that fails lets nobody wait, and the next one tells at once."""
    migration_id, imported = begin(journal), threading.Event()
    slow = Outlet(
        name=outlet.name, kinds=outlet.kinds, send=outlet.send, ready=lambda: imported.wait(30)
    )
    it = teller(slow)
    follower = Follower(lambda: journal, it)
    follower.start()
    eventually_sync(lambda: not it.settle(0))
    follower.abandon()
    imported.set()
    assert it.settle(5)
    assert stages(journal, migration_id) == []
    assert Follower(lambda: journal, teller(outlet, holder="next task")).finish(20.0)
    assert inbox.kinds() == ["started"]


def test_what_an_earlier_migration_left_untold_is_told(journal, inbox, outlet):
    """Who took the fleet back died with the message, and the next migration began at once."""
    earlier = begin(journal)
    who = {"migration_id": earlier, "actor": "ana"}
    journal.append("rollback_started", body={"reason": "consumers complain", "epoch": 2}, **who)
    journal.append("rollback_verified", body={"instances": {"feed-00": "ccxt"}}, **who)
    newer = journal.begin_migration("small", "a" * 64, "ana", run_key="r2")
    assert newer != earlier
    follower = Follower(lambda: journal, teller(outlet, holder="guard"))
    follower.start()
    eventually_sync(lambda: newer in {body["migration_id"] for body in inbox.bodies})
    follower.stop()
    told = [(body["migration_id"], body["kind"]) for body in inbox.bodies]
    assert told[-3:] == [(earlier, "rollback"), (earlier, "rolled_back"), (newer, "started")]


def test_an_earlier_migration_that_is_told_is_not_read_again(journal, inbox, outlet):
    """The guard looks once a second, for weeks."""
    earlier = begin(journal)
    journal.append(
        "rollback_started", migration_id=earlier, actor="ana", body={"reason": "why", "epoch": 2}
    )
    journal.append("rollback_verified", migration_id=earlier, actor="ana", body={"instances": {}})
    it = teller(outlet)
    it.tell(journal, earlier)
    assert it.settle(5)
    assert not it.tell(journal, earlier)


SENDER = """
import sys
from pathlib import Path
from feed_migration.journal.store import Journal
from tests.notices.test_follower import ADDRESSES, hook, teller
home = Path(sys.argv[1])
it = teller(hook(home / "url"), holder="killed")
it.tell(Journal(home / "journal.db"), sys.argv[2])
it.settle(60)
"""


def test_what_a_killed_process_had_claimed_is_told_by_the_next(
    journal, inbox, outlet, tmp_path, monkeypatch
):
    """Airflow ends a task's process behind the task, whatever its threads are at."""
    migration_id = begin(journal)
    inbox.hangs.set()
    argv = [sys.executable, "-c", SENDER, str(tmp_path), migration_id]
    with subprocess.Popen(argv) as sender:
        eventually_sync(lambda: inbox.paths, 30)
        sender.kill()
    inbox.hangs.clear()
    monkeypatch.setattr("feed_migration.journal.notice_ledger.CLAIM_SECONDS", 1.0)
    follower = Follower(lambda: journal, teller(outlet, holder="next"))
    follower.start()
    eventually_sync(lambda: stages(journal, migration_id)[-1] is Stage.TOLD)
    follower.stop()
    assert inbox.kinds() == ["started"]
