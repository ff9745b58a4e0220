"""`status --watch` as a process: on a terminal, in a pipe, and while parts go away and come back."""

import fcntl
import json
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
import threading
from pathlib import Path

import pytest
import yaml
from prometheus_client import CollectorRegistry

from feed_migration.guard.endpoints import listening
from feed_migration.guard.sight import Health
from feed_migration.holding import hold
from feed_migration.journal.store import Journal
from tests.cli.shell import STEP, open_gate
from tests.support.conditions import eventually_sync
from tests.support.lost_journal import away
from tests.support.memory_fleet import MemoryFleet
from tests.support.migration_plans import begin, pass_steps
from tests.support.small_airflow import small_airflow

PROGRAM = Path(sys.executable).with_name("backpack-migrate")
ESCAPES = re.compile(rb"\x1b\[[0-9;?]*[a-zA-Z]")


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("BACKPACK_HOME", str(tmp_path))
    monkeypatch.setenv("TERM", "xterm-256color")
    write(tmp_path, "http://127.0.0.1:9")
    return tmp_path


def write(home, airflow_url, **more):
    document = {
        "prometheus_url": "http://127.0.0.1:9",
        "instances": [{"id": "feed-00", "url": "http://127.0.0.1:9", "config": "f.yaml"}],
        "airflow": {"url": airflow_url, "password_file": "passwords.json"},
        **more,
    }
    (home / "deployment.yaml").write_text(yaml.safe_dump(document))
    (home / "passwords.json").write_text(json.dumps({"admin": "correct horse"}))


@pytest.fixture
def journal(home):
    """At 50 %, the gate open."""
    journal = Journal(home / "journal.db")
    pass_steps(journal, MemoryFleet(), begin(journal), until=STEP)
    open_gate(journal)
    return journal


class Watching:
    """A process of `status --watch`, and what it has written so far, without escapes."""

    def __init__(self, *options, columns=0):
        self.raw = b""
        self._terminal = bool(columns)
        if self._terminal:
            self.fd, child = pty.openpty()
            fcntl.ioctl(child, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        else:
            self.fd, child = os.pipe()
        self.process = subprocess.Popen(
            [PROGRAM, "status", "--watch", *options],
            stdout=child,
            stderr=child,
            stdin=child if self._terminal else subprocess.DEVNULL,
            start_new_session=True,
        )
        os.close(child)
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self):
        while True:
            try:
                chunk = os.read(self.fd, 65536)
            except OSError:
                return
            if not chunk:
                return
            self.raw += chunk

    @property
    def text(self) -> str:
        return ESCAPES.sub(b"", self.raw).decode(errors="replace")

    def shows(self, words: str):
        eventually_sync(lambda: words in self.text, 30.0, lambda: self.text[-2000:])

    def ends(self, number: int | None = None) -> int:
        if number is not None:
            self.process.send_signal(number)
        code = self.process.wait(20)
        self._reader.join(5)
        return code


@pytest.fixture
def watching():
    # who runs the tests in the background of a script hands on that Ctrl-C is not heard
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    started = []

    def start(*options, columns=0):
        started.append(Watching(*options, columns=columns))
        return started[-1]

    yield start
    for one in started:
        if one.process.poll() is None:
            one.process.kill()
            one.process.wait()
        one._reader.join(5)
        os.close(one.fd)
    signal.signal(signal.SIGINT, before)


def held(journal):
    hold(journal, journal.latest_migration(), actor="bo", reason="odd", at_unix=1.0)


def taken_back(journal):
    who = {"migration_id": journal.latest_migration(), "actor": "bo"}
    journal.append("rollback_started", body={"reason": "odd", "epoch": 2}, **who)
    journal.append("rollback_verified", body={"instances": {"feed-00": "ccxt"}}, **who)


def test_a_terminal_shows_every_change_and_ctrl_c_ends_with_0(journal, watching):
    """In its own screen, which is given back; the last status stays to be read."""
    view = watching(columns=80)
    view.shows("gate of cutover-50")
    held(journal)
    view.shows("is held, a person decides: held by bo: odd")
    assert view.ends(signal.SIGINT) == 0
    assert view.raw.count(b"\x1b[?1049h") == view.raw.count(b"\x1b[?1049l") == 1
    assert view.text.rstrip().endswith("next: backpack-migrate rollback")


def test_sigterm_gives_the_terminal_back_too(journal, watching):
    """Who ends it by force has a prompt that shows."""
    view = watching(columns=80)
    view.shows("gate of cutover-50")
    assert view.ends(signal.SIGTERM) == 128 + signal.SIGTERM
    assert view.raw.count(b"\x1b[?1049l") == 1


def test_a_pipe_gets_a_line_per_change(journal, watching):
    """And ends by itself, with 1 for a rollback; nothing is said twice."""
    view = watching("--until-done")
    view.shows("gate of cutover-50")
    held(journal)
    view.shows("held by bo: odd")
    taken_back(journal)
    assert view.ends() == 1
    said = [row[24:] for row in view.text.splitlines() if "mig-0001" in row]
    assert [row.split(" | ")[0].split(maxsplit=1)[1] for row in said[-1:]] == ["rolled back"]
    assert len(said) == len(set(said))
    assert b"\x1b[" not in view.raw


def test_as_json_each_change_is_a_document_on_a_line(journal, watching):
    """With what does not answer."""
    view = watching("--json", "--until-done")
    view.shows('"waits_for"')
    taken_back(journal)
    assert view.ends() == 1
    documents = [json.loads(row) for row in view.text.splitlines()]
    assert documents[-1]["status"] == "rolled_back"
    assert documents[0]["gate"]["step"] == STEP


def test_a_promoted_migration_ends_the_wait_with_0(home, watching):
    """What is over at the start is over at once."""
    journal = Journal(home / "journal.db")
    migration_id = begin(journal)
    pass_steps(journal, MemoryFleet(), migration_id, until="")
    who = {"migration_id": migration_id, "actor": "ana"}
    journal.append("migration_finished", body={"outcome": "promoted"}, **who)
    assert watching("--until-done").ends() == 0


def test_it_goes_on_while_the_journal_is_away(home, journal, watching):
    """Shown as it was last known, told of, and on again when the journal is back."""
    view = watching()
    view.shows("gate of cutover-50")
    with away(home / "journal.db"):
        view.shows("the journal does not answer")
    eventually_sync(lambda: "journal does not" not in view.text.splitlines()[-1], 30.0)
    held(Journal(home / "journal.db"))
    view.shows("held by bo: odd")


def test_it_says_who_may_answer_without_airflow(journal, watching):
    """As `status` does: the journal noted it when they were asked."""
    migration_id = journal.latest_migration()
    note = {"note": "approval_asked", "step": "cutover-100", "approvers": ["ann", "bo"]}
    journal.append("audit_note", migration_id=migration_id, actor="ana", body=note)
    journal.renew_lease(migration_id, holder="approval cutover-100", seconds=7200.0)
    watching().shows("cutover-100 waits for an approval by ann or bo")


def test_it_goes_on_while_airflow_is_away(home, journal, watching):
    """It knows who may approve where the journal has lost that; until when, the journal does."""
    migration_id = journal.latest_migration()
    with small_airflow() as airflow:
        write(home, airflow.url)
        airflow.wait_for("cutover_50.approval", "ann")
        view = watching()
        view.shows("gate of cutover-50")
        assert "Airflow does not answer" not in view.text
        held(journal)
        open_gate(journal, key="again")
        journal.renew_lease(migration_id, holder="approval cutover-100", seconds=7200.0)
        view.shows("cutover-100 waits for an approval by ann")
    view.shows("Airflow does not answer")
    taken_back(journal)
    view.shows("rolled back")
    assert view.ends(signal.SIGINT) == 0


def test_it_goes_on_while_the_guard_is_away(home, journal, watching):
    """And says on the next line that changes whether anybody takes the fleet back by itself."""
    health = Health(polled_monotonic=0.0, watching=True)
    with listening("127.0.0.1", 0, lambda: health, CollectorRegistry(), lambda: 0.0) as port:
        write(home, "http://127.0.0.1:9", guard_url=f"http://127.0.0.1:{port}")
        view = watching()
        view.shows("guard watches what is exposed")
    view.shows("the guard does not answer")
    held(journal)
    view.shows("held by bo: odd")
    with listening("127.0.0.1", port, lambda: health, CollectorRegistry(), lambda: 0.0):
        eventually_sync(lambda: "guard watches" in view.text.splitlines()[-1], 30.0)


RUN = "manual__2"


def test_it_says_that_the_driving_dag_run_has_ended(home, journal, watching):
    """Until that is cleared, and no longer than Airflow answers."""
    note = {"note": "joined", "turn": 1, "dag_id": "backpack_migration", "run_id": RUN}
    who = {"migration_id": journal.latest_migration(), "actor": "ana"}
    journal.append("audit_note", body=note, **who)
    with small_airflow() as airflow:
        write(home, airflow.url)
        airflow.run_states = ["running"]
        view = watching()
        view.shows("gate of cutover-50")
        airflow.run_states = ["failed"]
        view.shows(f"its DAG run backpack_migration {RUN} has ended failed")
        airflow.run_states = ["running"]
        eventually_sync(lambda: "has ended" not in view.text.splitlines()[-1], 30.0)
        airflow.run_states = ["failed"]
        eventually_sync(lambda: "has ended failed" in view.text.splitlines()[-1], 30.0)
    view.shows("Airflow does not answer")
    eventually_sync(lambda: "has ended" not in view.text.splitlines()[-1], 30.0)


@pytest.fixture
def started(home, journal):
    """A migration that is taken back, and a start at a shell since, which has begun nothing yet."""
    taken_back(journal)
    note = {"note": "shell", "command": "start", "dag_id": "backpack_migration", "run_id": RUN}
    journal.append("audit_note", migration_id="none", actor="cli:bo", body=note)
    # Airflow's last task closes the books of the one before when it comes to it
    who = {"migration_id": journal.latest_migration(), "actor": "ana"}
    journal.append("migration_finished", body={"outcome": "rolled_back"}, **who)
    return journal


def test_until_done_waits_for_the_migration_of_the_last_start(started, watching):
    """The one before it is over, and is not taken for it."""
    view = watching("--until-done")
    view.shows("rolled back")
    newer = begin(started)
    view.shows(newer)
    taken_back(started)
    assert view.ends() == 1
    assert "last start" not in view.text


def test_until_done_says_that_the_last_start_was_refused(started, watching):
    """With the reasons, and never with the code of the migration before it."""
    view = watching("--until-done")
    view.shows("rolled back")
    assert view.process.poll() is None
    body = {"note": "refused", "run_id": RUN, "dag_id": "backpack_migration", "text": "fleet: odd"}
    started.append("audit_note", migration_id="none", actor="ana", body=body)
    assert view.ends() == 1
    assert f"the last start, backpack_migration {RUN}, was refused: fleet: odd" in view.text


def test_until_done_says_that_the_run_of_the_last_start_failed(home, started, watching):
    """Where nobody was refused: Airflow knows."""
    with small_airflow() as airflow:
        airflow.run_states = ["failed"]
        write(home, airflow.url)
        view = watching("--until-done")
        view.shows("began no migration: Airflow says failed")
        assert view.ends() == 1
