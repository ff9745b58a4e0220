"""What `status` says of the guard: how it is, and what to do where it is not there."""

import json
import socket
import threading
import time
from contextlib import contextmanager

import pytest
from prometheus_client import CollectorRegistry

from feed_migration.guard.asking import ask_guard
from feed_migration.guard.endpoints import listening
from feed_migration.guard.sight import Health
from feed_migration.journal.store import Journal
from tests.cli.shell import invoke, write_deployment
from tests.cli.test_page import sections
from tests.support.lost_journal import away
from tests.support.small_airflow import small_airflow


@pytest.fixture(autouse=True)
def patient(monkeypatch):
    """Asker and guard share one process here, which may stand still for seconds."""
    monkeypatch.setattr(ask_guard, "__defaults__", (20.0,))


REMEDY = "start it, or roll back what is exposed"


@contextmanager
def guard(home, **health):
    """A guard of that deployment; it has just ended a round unless told otherwise."""
    now = Health(**{"polled_monotonic": time.monotonic(), **health})
    with listening("127.0.0.1", 0, lambda: now, CollectorRegistry(), time.monotonic) as port:
        url = f"http://127.0.0.1:{port}"
        write_deployment(home, guard_url=url)
        yield url


def line(out: str) -> str:
    """What the line `guard` of a status says."""
    (found,) = [row for row in out.splitlines() if row.startswith("guard ")]
    return found.removeprefix("guard").strip()


@pytest.mark.parametrize(
    ("health", "state", "text"),
    [
        ({}, "answers", "answers"),
        ({"exposed": 5, "lease_left_seconds": 9.0}, "answers", "answers"),
        ({"journal_silent_seconds": 9.0}, "answers", "answers: the journal does not answer it"),
        ({"watching": True}, "watching", "watches what is exposed, because nobody else does"),
        ({"reverting": True}, "reverting", "takes the fleet back to ccxt"),
        (
            {"reverting": True, "unproven": ("feed-03",)},
            "reverting",
            "takes the fleet back to ccxt: feed-03 is not proven on it yet",
        ),
        (
            {"reverting": True, "unproven": tuple(f"f{n}" for n in range(1000))},
            "reverting",
            "takes the fleet back to ccxt: f0, f1, f2, f3, f4 and 995 more are not proven on it yet",
        ),
        (
            {"polled_monotonic": float("-inf")},
            "hangs",
            "ends no round: restart it, or roll back what is exposed",
        ),
    ],
)
def test_status_says_how_the_guard_is(capsys, home, health, state, text):
    """For people and as JSON; the guard's own words, asked where deployment.yaml says."""
    with guard(home, **health):
        code, out, err = invoke(capsys, "status")
        assert (code, err, line(out)) == (0, "", text)
        document = json.loads(invoke(capsys, "status", "--json")[1])
    assert document["guard"] == {"state": state, "text": text}
    assert f"`{state}`" in sections()["status"]


def test_a_guard_that_is_down_is_told_of_with_the_remedy(capsys, home):
    """And is no reason for the command to fail: the rest of it is what one needs then."""
    write_deployment(home, guard_url="http://127.0.0.1:9")
    code, out, err = invoke(capsys, "status")
    assert (code, err) == (0, "")
    assert line(out) == f"does not answer: {REMEDY} (http://127.0.0.1:9: nothing listens)"
    assert json.loads(invoke(capsys, "status", "--json")[1])["guard"]["state"] == "silent"


def test_without_a_guard_url_nobody_is_asked(capsys, home):
    """Which is said: no line could be taken for a guard that is well."""
    assert line(invoke(capsys, "status")[1]) == "not asked: deployment.yaml names no guard_url"


def test_what_answers_in_the_place_of_a_guard_is_none(capsys, home):
    """A port that something else has taken."""
    with small_airflow() as other:
        write_deployment(home, guard_url=other.url)
        code, out, _ = invoke(capsys, "status")
    assert code == 0
    assert line(out).endswith("what answers is no guard)")


def test_a_guard_that_says_nothing_is_waited_for_shortly():
    """It has taken the connection, as a process does that is stopped."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        answer = ask_guard(f"http://127.0.0.1:{server.getsockname()[1]}", 0.2)
    assert answer.text.endswith("no answer within 0.2 s)")


def test_a_name_that_nobody_finds_is_waited_for_as_shortly(monkeypatch):
    """A container that is down has none, and who is asked for it may take long to say so."""
    given_up = threading.Event()

    def search(*_arguments, **_options):
        assert given_up.wait(10)
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", search)
    answer = ask_guard("http://guard:9699", 0.2)
    given_up.set()
    assert answer.text.endswith("(http://guard:9699: no answer within 0.2 s)")
    assert ask_guard("http://guard:9699", 10.0).text.endswith("nobody knows that name here)")


def test_a_proxy_of_the_shell_is_not_asked(capsys, home, monkeypatch):
    """The guard is in the deployment's own network."""
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    with guard(home):
        assert line(invoke(capsys, "status")[1]) == "answers"


def test_with_the_journal_away_the_guard_is_what_one_wants_to_know(capsys, home):
    """`status` cannot say more, and who takes the fleet back then is the guard."""
    Journal(home / "journal.db")
    with away(home / "journal.db"), guard(home, journal_silent_seconds=9.0):
        code, out, err = invoke(capsys, "status")
    assert (code, out) == (3, "")
    notice, problem = err.splitlines()
    assert notice == "backpack-migrate: the guard answers: the journal does not answer it"
    assert "journal" in problem
