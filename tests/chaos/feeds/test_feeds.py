"""A slice of `make chaos`. What its checker sees is proved in `test_truth_checker.py`."""

import pytest

from tests.chaos.feeds.plan import FRAMES, Kill, make_plan
from tests.chaos.feeds.run import JOBS, figures, run_seeds

SEEDS = 20


@pytest.mark.alone
@pytest.mark.timeout(300)
def test_no_trade_is_lost_or_repeated_and_no_level_is_wrong_under_any_fault(tmp_path):
    """In process and across kill -9 and switches of feed, against the venue's own truth."""
    outcomes = run_seeds(range(1, SEEDS + 1), JOBS, tmp_path)
    assert all(outcome.right for outcome in outcomes), "\n".join(map(str, outcomes))
    said = figures(outcomes)
    print(said)  # noqa: T201 - shown with -s, and by a failure
    assert sum(outcome.kills for outcome in outcomes) >= SEEDS
    assert sum(outcome.findings.trades for outcome in outcomes) > 200 * SEEDS
    assert sum(outcome.findings.books for outcome in outcomes) > 100 * SEEDS


def test_a_plan_is_its_seed_and_has_every_kind_of_fault():
    """The same seed, the same plan; each one gaps, repeats, swaps, stalls, cuts off and kills."""
    assert make_plan(7) == make_plan(7) != make_plan(8)
    for seed in range(50):
        plan = make_plan(seed)
        names = {strike.fault for strike in plan.strikes}
        assert names >= set(FRAMES)
        assert names & {"disconnect", "close", "cut"}
        assert names & {"stall", "blackout", "stale"}
        assert names & {"rest_503", "rest_429", "old_depth", "old_trades"}
        assert any(isinstance(action, Kill) for action in plan.actions)
