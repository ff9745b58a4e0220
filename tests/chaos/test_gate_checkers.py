"""What the attacks on gates and on the audit say of a judge that is broken, or of an idle attack."""

import os
from dataclasses import replace
from types import SimpleNamespace

import pytest

from benchmarks.audit_mutations import Outcome as Mutated
from feed_migration.model import Decision
from tests.chaos import parts
from tests.chaos.part import Asked
from tests.judge import forged, restarts, same_feed, scale

WAIT = os.WEXITED | os.WNOWAIT


@pytest.fixture
def asked(tmp_path):
    return Asked(count=1, seed=1, jobs=1, folder=tmp_path)


def test_a_gate_that_never_promotes_shows_nothing_of_forgeries(asked, monkeypatch):
    """It promotes no forgery, and nothing true either."""
    assert parts.attack_judge(asked).kept
    tick = forged.GateRun.tick

    def never(run, at):
        tick(run, at)
        return SimpleNamespace(final=True, decision=Decision.HOLD)

    monkeypatch.setattr(forged.GateRun, "tick", never)
    said = "the gate does not promote over honest answers either"
    assert parts.attack_judge(asked).wrong == [said]


def test_a_gate_that_asks_nothing_shows_nothing_of_forgeries(asked, monkeypatch):
    """Promote or not, it has heard none; and the attack comes to an end."""
    monkeypatch.setattr(forged, "_verdict", lambda _url: Decision.PROMOTE)
    assert "no forged answer was delivered" in parts.attack_judge(asked).wrong


def test_answers_that_nobody_takes_are_not_delivered(monkeypatch):
    """Who asks and goes away has got none."""

    def gone(*_):
        raise BrokenPipeError

    monkeypatch.setattr(forged, "send", gone)
    monkeypatch.setattr("http.server.socketserver.BaseServer.handle_error", lambda *_: None)
    found = forged.forged(1, 1)
    assert found["forged_answers"] == 0
    assert "no forged answer was delivered" in forged.complaints(found)


def test_every_kind_of_forgery_is_delivered_to_many_gates():
    """One that never comes up is missed."""
    found = forged.forged(forged.MANY_ANSWERS, 1)
    assert forged.complaints(found) == []
    found["forged_by_kind"].pop("_torn")
    assert forged.complaints(found) == ["no forgery of the kind _torn was delivered"]


class Mute:
    """A judge of one opinion."""

    def __init__(self, decision):
        self._decision = decision

    def __call__(self, _gate):
        return self

    def add(self, *_):
        final = self._decision is not Decision.RUNNING
        reasons = [SimpleNamespace(text="")]
        return SimpleNamespace(final=final, decision=self._decision, reasons=reasons)


@pytest.mark.parametrize("decision", [*Decision])
def test_a_judge_of_one_opinion_shows_nothing_of_the_same_feed(asked, monkeypatch, decision):
    """One that never goes back has no false way back."""
    monkeypatch.setattr(same_feed, "Judge", Mute(decision))
    assert not parts.attack_same_feed(asked).kept


def test_a_judge_that_tells_worse_from_same_is_right(asked):
    """The one that there is."""
    assert parts.attack_same_feed(asked).kept


def verdicts(traces=20, **changes):
    decisions = dict.fromkeys([one.value for one in Decision], 0)
    decisions |= {name: changes.pop(name) for name in [*changes] if name in decisions}
    right = {"kills": 5, "died_alone": 0, "measured_by_killed": 3, "kill_other_verdicts": 0}
    return {**right, **changes, "kill_traces": traces, "decisions": decisions}


@pytest.mark.parametrize(
    ("found", "said"),
    [
        ({}, ["of 20 traces none ended with Promote", "of 20 traces none ended with Rollback"]),
        ({"Promote": 20}, ["of 20 traces none ended with Rollback"]),
        ({"Promote": 9, "Rollback": 11}, []),
        ({"Promote": 1, "traces": 1}, []),
        ({"Promote": 1, "traces": 1, "kills": 0}, ["no judge was killed"]),
        ({"traces": 1, "died_alone": 2}, ["2 judges died before they were killed"]),
        (
            {"traces": 1, "measured_by_killed": 0},
            ["no judge that was killed had measured anything"],
        ),
        ({"traces": 1, "kill_other_verdicts": 1}, ["kills changed 1 verdicts"]),
    ],
)
def test_gates_that_come_to_no_verdict_show_nothing_of_kills(found, said):
    """Killed or not, they say the same."""
    assert restarts.complaints(verdicts(**found)) == said


def test_a_judge_that_dies_by_itself_was_not_killed(monkeypatch):
    """One that cannot judge is dead before the signal comes."""
    monkeypatch.setattr(restarts, "LIFE_SECONDS", 0.0)
    monkeypatch.setattr(restarts, "TICKS", 2)
    monkeypatch.setattr(restarts, "_judge_until_killed", lambda *_: os._exit(1))
    monkeypatch.setattr(restarts.time, "sleep", lambda _: os.waitid(os.P_ALL, 0, WAIT))
    found = restarts.restarts(1, 1)
    assert found["kills"] == 0
    assert "no judge was killed" in restarts.complaints(found)


@pytest.mark.parametrize(("verdict", "seconds"), [("Hold", 0.1), ("Running", 0.1), ("Promote", 1)])
def test_a_quick_gate_has_to_see(verdict, seconds):
    """A blind one is quick, too."""
    assert len(scale.complaints({"verdict": verdict, "tick_p99_seconds": seconds})) == 1
    assert scale.complaints({"verdict": "Promote", "tick_p99_seconds": 0.9}) == []


def test_an_audit_that_was_not_touched_shows_nothing(asked, monkeypatch):
    """No mutation was missed of none."""
    monkeypatch.setattr(parts, "mutate", lambda *_: Mutated())
    assert parts.attack_audit(asked).wrong == ["the journal was not touched"]


def test_every_kind_of_mutation_is_tried_among_many(asked, monkeypatch):
    """One that never comes up is missed, and so is one that verify did not find."""
    kinds = dict.fromkeys(parts.MUTATIONS, 9)
    many = replace(asked, count=parts.MANY_MUTATIONS)
    monkeypatch.setattr(parts, "mutate", lambda *_: Mutated(9, kinds))
    assert parts.attack_audit(many).kept
    monkeypatch.setattr(parts, "mutate", lambda *_: Mutated(9, {**kinds, "swap": 0}, ["x"]))
    assert parts.attack_audit(many).wrong == [
        "a mutation was missed: x",
        "no mutation of the kind swap was tried",
    ]
