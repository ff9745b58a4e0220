"""Whom a strike has met: real processes, and a venue that knows a fault or does not."""

import subprocess
import time
from types import SimpleNamespace

import psutil
import pytest

from tests.chaos.nemesis import strikes
from tests.chaos.nemesis.plan import Strike, Trial
from tests.chaos.nemesis.strikes import Driven, Nemesis

DRIVEN = Driven("dag", "run")
KNOWN = SimpleNamespace(json=lambda: [{"id": 7, "active": True}])


@pytest.fixture
def victim():
    process = subprocess.Popen(["/bin/sleep", "60"])
    yield psutil.Process(process.pid)
    process.kill()
    process.wait()


def struck(kind, stage, seconds=60.0):
    """A nemesis that has had the moment for its one strike."""
    strike = Strike(kind=kind, anchor="begun", after_seconds=0.0, seconds=seconds, victim=0)
    nemesis = Nemesis(stage, Trial(seed=1, strikes=(strike,)))
    nemesis.at["begun"] = time.monotonic()
    nemesis.turn(DRIVEN)
    return nemesis


def running(*processes):
    return SimpleNamespace(processes=lambda _program: list(processes))


def test_a_kill_has_met_who_is_gone(victim):
    """SIGKILL leaves nobody."""
    assert struck("kill:guard", running(victim)).struck["kill:guard"] == 1
    assert not victim.is_running()


def test_a_stop_has_met_who_stands_still_and_ends_with_the_trial(victim):
    """SIGSTOP, and SIGCONT at the end."""
    nemesis = struck("stop:guard", running(victim))
    assert nemesis.struck["stop:guard"] == 1
    assert victim.status() == psutil.STATUS_STOPPED
    nemesis.end()
    assert victim.status() != psutil.STATUS_STOPPED


@pytest.mark.parametrize("kind", ["kill:guard", "stop:guard"])
def test_a_signal_that_changes_nothing_has_met_nobody(victim, monkeypatch, kind):
    """It was sent, and the process goes on."""
    monkeypatch.setattr(strikes, "MET_SECONDS", 0.1)
    monkeypatch.setattr(strikes, "_send", lambda *_: None)
    nemesis = struck(kind, running(victim))
    assert nemesis.struck[kind] == 0
    assert nemesis.struck_at == {}
    assert "met nobody" in nemesis.diary[0]


@pytest.mark.parametrize("kind", ["kill:guard", "stop:guard"])
def test_a_strike_on_nobody_has_met_nobody(kind):
    """The program does not run."""
    assert struck(kind, running()).struck[kind] == 0


@pytest.mark.parametrize(
    ("known", "met"),
    [([{"id": 7, "active": True}], 1), ([{"id": 7, "active": False}], 0), ([], 0)],
)
def test_a_fault_has_met_a_venue_that_knows_it(known, met):
    """Its word that it was taken is not enough."""

    def venue(method, path, body=None):
        answer = {"id": 7} if method == "POST" else known
        return SimpleNamespace(json=lambda: answer)

    stage = SimpleNamespace(stack=SimpleNamespace(venue=venue))
    assert struck("native:gap", stage).struck["native:gap"] == met


def test_a_lie_lasts_until_somebody_has_heard_it():
    """Also beyond its seconds; then its turn is over."""
    proxy = SimpleNamespace(mode="honest", lied=0)
    nemesis = struck("answers:nan", SimpleNamespace(proxy=proxy), seconds=0.0)
    nemesis.turn(DRIVEN)
    assert proxy.mode == "nan"
    proxy.lied += 1
    nemesis.turn(DRIVEN)
    assert (proxy.mode, nemesis.struck["answers:nan"]) == ("honest", 1)


def test_a_lie_that_nobody_heard_has_met_nobody():
    """Counted when it is told, and taken back at the end of the trial."""
    proxy = SimpleNamespace(mode="honest", lied=0)
    nemesis = struck("answers:nan", SimpleNamespace(proxy=proxy))
    assert (proxy.mode, nemesis.struck["answers:nan"]) == ("nan", 1)
    nemesis.end()
    assert (proxy.mode, nemesis.struck["answers:nan"]) == ("honest", 0)


@pytest.mark.parametrize("kind", ["native:gap", "both:disconnect"])
def test_a_fault_waits_for_a_venue_that_is_away(kind):
    """It was struck itself, and comes back."""
    answers = [OSError(), SimpleNamespace(json=lambda: {"id": 7}), KNOWN]

    def venue(*_):
        answer = answers.pop(0)
        if isinstance(answer, OSError):
            raise answer
        return answer

    nemesis = struck(kind, SimpleNamespace(stack=SimpleNamespace(venue=venue)))
    assert nemesis.struck[kind] == 0
    # the moment that it hangs on is only just over
    nemesis.turn(DRIVEN)
    assert nemesis.struck[kind] == 1
