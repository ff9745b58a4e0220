"""A slice of `make chaos`, and proof that its checker sees what it looks for."""

from decimal import Decimal

import pytest

from tests.chaos.checker import Findings, check_book, check_trades
from tests.chaos.plan import FRAMES, Kill, make_plan
from tests.chaos.run import JOBS, figures, run_seeds

SEEDS = 20


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


def row(number: int, side: str = "buy", price: str = "1", time: float | None = 1.0):
    return number, side, Decimal(price), Decimal(2), time


@pytest.mark.parametrize(
    ("delivered", "count"),
    [
        ([row(1), row(3)], "lost"),
        ([row(1), row(2)], "lost"),
        ([row(1), row(2), row(2), row(3)], "repeated"),
        ([row(1), row(3), row(2)], "out_of_order"),
        ([row(1), row(2, "sell"), row(3)], "wrong_trades"),
        ([row(1), row(2, price="1.1"), row(3)], "wrong_trades"),
        ([row(1), row(2, time=2.0), row(3)], "wrong_trades"),
        ([row(1), row(2), row(3), row(4)], "wrong_trades"),
    ],
)
def test_the_checker_of_trades_finds(delivered, count):
    """Each kind of wrong, once."""
    findings = Findings()
    check_trades("here", delivered, [row(0), row(1), row(2), row(3)], findings)
    assert getattr(findings, count) == 1
    assert findings.complaints
    assert not findings.right


def test_the_checker_of_trades_accepts_what_is_whole_from_the_first_one_on():
    """What happened before the first delivered trade was nobody's to deliver."""
    findings = Findings()
    check_trades("here", [row(2), row(3, time=None)], [row(1), row(2), row(3)], findings)
    assert findings.right
    assert findings.trades == 2


def test_no_trade_at_all_is_a_finding():
    """A feed that delivers nothing is not right."""
    findings = Findings()
    check_trades("here", [], [row(1)], findings)
    assert not findings.right


@pytest.mark.parametrize(
    "bids",
    [{}, {9: 1, 8: 3}, {9: 1, 8: 2, 7: 1}, {9: 1, 7: 2}],
    ids=["empty", "another size", "a level too many", "another price"],
)
def test_the_checker_of_books_finds_every_wrong_level(bids):
    """Far from the top as well."""
    findings = Findings()
    check_book("here", (bids, {10: 1}), ({9: 1, 8: 2}, {10: 1}), findings)
    assert findings.wrong_levels >= 1
    assert "bid" in findings.complaints[0]
    assert "ask" not in findings.complaints[0]


def test_a_book_that_the_venue_never_had_is_a_finding():
    """A sequence number of nothing."""
    findings = Findings()
    check_book("here", ({}, {}), None, findings)
    assert not findings.right


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
