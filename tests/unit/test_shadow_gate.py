"""The shadow gates of the shipped plans: what is proven is promoted, what is not is held."""

from pathlib import Path

import pytest

from feed_migration.gates.judge import judge, measure
from feed_migration.model import Answer, Decision
from feed_migration.plan.reader import load_plan

PLANS = Path(__file__).parents[2] / "plans"
SHADOW = (("instance_id", "shadow-00"),)
WELL = {
    "parity_trades_compared": 300.0,
    "parity_books_compared": 300.0,
    "parity_trades_proven": 1.0,
    "parity_books_proven": 1.0,
    "shadow_health": 1.0,
}


@pytest.fixture(params=["production", "demo"])
def gate(request):
    """The shadow gate of a shipped plan."""
    return load_plan(PLANS / f"{request.param}.yaml").step("shadow").gate


def judged(gate, values, *, seconds):
    """The verdict after so long; `values` gives each criterion's value at a second."""
    rows = []
    for tick in range(int(seconds / gate.interval_seconds) + 1):
        at = tick * gate.interval_seconds
        for one in gate.criteria:
            value = values(at).get(one.name, 0.0)
            answer = Answer(series=((SHADOW, value),), baseline=(((), 1.0),), age_seconds=1.0)
            rows.append(measure(one, answer, at, 1))
    return judge(gate, rows, seconds)


def test_a_feed_that_agrees_is_promoted_at_the_earliest(gate):
    """Also while others are blamed, and while a dispute waits."""
    said = WELL | {"parity_others_blamed": 40.0, "parity_oldest_pending": 59.0}
    verdict = judged(gate, lambda at: said, seconds=gate.min_duration_seconds)
    assert verdict.decision is Decision.PROMOTE


@pytest.mark.parametrize("kind", ["trades", "books"])
@pytest.mark.parametrize("share", [0.0, 0.5, 0.9])
def test_disagreements_that_nobody_settles_hold_the_gate(gate, kind, share):
    """However many were compared: nothing is proven, and nobody is rolled back for it."""
    said = WELL | {f"parity_{kind}_proven": share, "parity_others_blamed": 1800.0}
    early = judged(gate, lambda at: said, seconds=gate.min_duration_seconds)
    assert early.decision is Decision.RUNNING
    late = judged(gate, lambda at: said, seconds=gate.max_duration_seconds)
    assert late.decision is Decision.HOLD
    assert f"parity_{kind}_proven" in {reason.criterion for reason in late.reasons}


def test_one_window_without_an_answer_of_the_venue_only_takes_longer(gate):
    """REST fails once; what is proven before and after it counts."""
    length = gate.min_duration_seconds

    def said(at):
        unclear = length / 2 <= at < length * 0.75
        return WELL | ({"parity_trades_proven": 0.6} if unclear else {})

    assert judged(gate, said, seconds=length).decision is not Decision.HOLD
    assert judged(gate, said, seconds=gate.max_duration_seconds).decision is Decision.PROMOTE


def test_what_the_venue_proves_against_native_is_rolled_back(gate):
    """Whatever else is not settled."""
    said = WELL | {"parity_trades": 1.0, "parity_trades_proven": 0.0}
    verdict = judged(gate, lambda at: said, seconds=gate.min_duration_seconds)
    assert verdict.decision is Decision.ROLLBACK
