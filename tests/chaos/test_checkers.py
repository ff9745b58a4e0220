"""What each attack says of a product that is broken in a way which leaves nothing to find."""

import subprocess
from types import SimpleNamespace

import psutil
import pytest

from backpack_sandbox.truth.findings import Finding, Findings, Kind
from feed_migration import cutover
from feed_migration.phases import MigrationState
from tests.chaos.boundaries.course import record
from tests.chaos.boundaries.part import attack_boundaries
from tests.chaos.boundaries.run import Outcome as Killed
from tests.chaos.boundaries.trial import Ended
from tests.chaos.breaches import part as breaches
from tests.chaos.breaches import stage as breach_stage
from tests.chaos.breaches.plan import make_trials
from tests.chaos.breaches.trial import Outcome as Breached
from tests.chaos.breaches.trial import resurrected, unprovoked
from tests.chaos.cycles.check import check_exposed
from tests.chaos.cycles.run import MANY_CYCLES, STRUCK, run_cycles
from tests.chaos.cycles.run import Outcome as Cycled
from tests.chaos.feeds import part as feeds_part
from tests.chaos.feeds import trial as feeds
from tests.chaos.part import Asked
from tests.judge import restarts

UNCHANGED = {"kills": 5, "kill_other_verdicts": 0}
LOST = Finding(Kind.MISSING, "feed-00", "SOL-USDC", 1, "")


@pytest.fixture
def asked(tmp_path):
    return Asked(count=1, seed=1, jobs=1, folder=tmp_path)


@pytest.fixture
def nobody_moves(monkeypatch):
    """A step that says nothing and does nothing."""
    monkeypatch.setattr(cutover, "advance", lambda *_: None)


@pytest.mark.timeout(180)
def test_steps_that_move_nobody_are_found_before_a_single_kill(tmp_path, nobody_moves):
    """After a kill they would do the same: nothing."""
    with pytest.raises(RuntimeError, match=r"starts no shadow|puts \[\] on native"):
        record(tmp_path)


@pytest.mark.parametrize(
    ("ended", "walks", "said"),
    [
        (0, 0, "nobody was killed, so there is no illegal end either"),
        (5, 0, "nobody was killed on a real supervisord"),
        (5, 1, ""),
    ],
)
def test_boundaries_without_a_kill_show_nothing(asked, monkeypatch, ended, walks, said):
    """Nothing illegal was left."""
    killed = Killed(ended=[Ended("begin/1", 1, ended, ())], walks=[Ended("begin", 1, walks, ())])
    monkeypatch.setattr("tests.chaos.boundaries.part.run_boundaries", lambda *_, **__: killed)
    monkeypatch.setattr(restarts, "restarts", lambda *_: UNCHANGED)
    monkeypatch.setattr(restarts, "complaints", lambda _: [])
    monkeypatch.setattr("logging.disable", lambda _: None)
    found = attack_boundaries(asked)
    assert said in found.wrong if said else found.kept


@pytest.mark.timeout(180)
def test_a_cycle_whose_steps_move_nobody_is_wrong(tmp_path, nobody_moves):
    """Real feeds on ccxt all the time, and every trade on its tape."""
    outcome = run_cycles(range(1, 2), tmp_path)
    assert "check_exposed" in outcome.error
    assert not outcome.right


def test_a_share_is_the_first_so_many():
    """Too few and the wrong ones are found."""
    names = ["a", "b", "c"]
    check_exposed(MigrationState(exposed=("a", "b")), names, 66)
    for exposed in ((), ("a",), ("b", "c"), ("a", "b", "c")):
        with pytest.raises(AssertionError):
            check_exposed(MigrationState(exposed=exposed), names, 66)


@pytest.fixture
def cycled():
    """A right run of as many cycles as have every strike among them."""
    outcome = Cycled(1, cycles=MANY_CYCLES, native_trades=5)
    outcome.done.update(dict.fromkeys([*STRUCK, "migrations", "rollbacks"], MANY_CYCLES))
    outcome.findings.trades = 50
    return outcome


def test_a_run_of_cycles_with_all_that_it_should_have_is_right(cycled):
    """The checker does not cry wolf."""
    assert cycled.wrong == []


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda one: setattr(one, "cycles", 0), "100 migrations began in 0 cycles"),
        (lambda one: one.done.update(migrations=-1), "99 migrations began in 100 cycles"),
        (lambda one: one.done.update(rollbacks=-1), "99 of 100 migrations were taken back"),
        (lambda one: setattr(one.findings, "trades", 0), "no trade was compared"),
        (lambda one: setattr(one, "native_trades", 0), "no trade came from a native feed"),
        (lambda one: one.done.pop("feeds_killed"), "feeds_killed: none"),
        (lambda one: setattr(one, "error", "x\nOSError: y\n"), "the run broke off: OSError: y"),
        (lambda one: one.findings.add(LOST), "1 trades missing"),
    ],
)
def test_cycles_that_lack_anything_say_so(cycled, spoil, said):
    """No cycle, no trade, nobody killed, or a migration that nobody took back."""
    spoil(cycled)
    assert said in cycled.wrong
    assert not cycled.right


def event(kind, at, actor="", **body):
    return SimpleNamespace(kind=kind, at=at, body=body, actor=actor)


def test_a_way_back_that_the_fault_did_not_bring_about_is_wrong():
    """Who always goes back after some seconds is the quickest of all."""
    verdict = event("verdict", 11.0, decision="Rollback")
    back = event("rollback_started", 12.0)
    assert unprovoked([verdict, back], broken_at=10.0) == []
    early = unprovoked([verdict, back], broken_at=13.0)
    assert [text.split()[1] for text in early] == ["verdict", "way"]
    held = event("verdict", 11.0, decision="Hold")
    assert unprovoked([held, back], broken_at=10.0) == ["the gate said Hold"]
    assert unprovoked([], broken_at=10.0)


@pytest.mark.parametrize(
    ("airflow", "actor", "right"),
    [
        ("alive", "run manual__1", True),
        ("alive", "guard:h", True),
        ("stopped", "guard:h", True),
        ("stopped", "run manual__1", False),
        ("killed", "run manual__1", False),
    ],
)
def test_a_dead_airflow_takes_nothing_back(airflow, actor, right):
    """Where its name is in the journal it was not dead."""
    trial = next(one for one in make_trials(1, 9) if one.airflow == airflow)
    assert bool(resurrected([event("rollback_started", 1.0, actor)], trial)) is not right


def breach(seconds=6.0, *wrong):
    (trial, _) = make_trials(1, 1)
    return Breached(
        trial=trial, verdict_seconds=1.0, back_seconds=seconds, by="guard", wrong=tuple(wrong)
    )


def test_breaches_need_a_breach_that_ends_right_and_in_time():
    """Of none, nothing is late and nothing wrong."""
    assert breaches.complaints([breach()]) == []
    assert breaches.complaints([]) == ["there was no breach"]
    assert breaches.complaints([breach(6.0, "odd")]) == ["seed 1: odd"]
    (late,) = breaches.complaints([breach(60.0)])
    assert "60.0 s" in late


@pytest.mark.parametrize("how", ["stopped", "killed"])
def test_an_airflow_that_lives_on_is_not_dead(monkeypatch, how):
    """Signals and orders that change nothing end the trial."""
    process = subprocess.Popen(["/bin/sleep", "60"])
    monkeypatch.setattr(breach_stage, "DEAD_SECONDS", 0.1)
    monkeypatch.setattr(breach_stage, "_send", lambda *_: None)
    stage = object.__new__(breach_stage.Stage)
    stage.stack = SimpleNamespace(rpc=SimpleNamespace(stop=lambda _: None))
    stage.airflow_processes = lambda: [psutil.Process(process.pid)] * 4
    stage._start_airflow = lambda _: None
    try:
        with pytest.raises(AssertionError), stage.airflow_dead(how):
            pytest.fail("the trial went on")
    finally:
        process.kill()
        process.wait()


def test_an_airflow_that_was_not_there_cannot_die(monkeypatch):
    """No process was found."""
    stage = object.__new__(breach_stage.Stage)
    stage.airflow_processes = list
    with pytest.raises(AssertionError, match="there to die"), stage.airflow_dead("stopped"):
        pytest.fail("the trial went on")


def test_feeds_that_compared_nothing_say_so():
    """No trial, no trade, no book, no kill and no fault."""
    assert len(feeds_part.complaints([])) == 4
    right = feeds.Outcome(1, Findings(trades=5, levels=5), kills=1, faults=1)
    assert feeds_part.complaints([right]) == []
    assert feeds_part.complaints([right, feeds.Outcome(2, error="x")]) == ["seed 2 went wrong"]


@pytest.mark.timeout(120)
def test_a_feed_that_publishes_no_book_is_wrong(tmp_path, monkeypatch):
    """Every level of none of them is right."""

    async def unheard(*_):
        """Take it and say nothing."""

    monkeypatch.setattr(feeds._Checked, "book", unheard)
    outcome = feeds.run_seed(1, tmp_path)
    assert outcome.error == ""
    assert "no book at all" in " ".join(map(str, outcome.findings.first))


@pytest.mark.timeout(120)
def test_a_feed_that_is_deaf_until_the_faults_are_over_is_wrong(tmp_path, monkeypatch):
    """All from its first trade on would be there."""

    async def unheard(*_):
        """Take it and say nothing."""

    monkeypatch.setattr(feeds, "CATCH_UP_SECONDS", 3.0)
    monkeypatch.setattr(feeds._Checked, "trade", unheard)
    outcome = feeds.run_seed(1, tmp_path)
    assert not outcome.right
    assert "_listening" in outcome.error
