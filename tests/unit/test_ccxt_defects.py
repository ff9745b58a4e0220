"""What ccxt does wrong, as counted from outside."""

import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backpack_feed.counters import FeedCounters
from backpack_feed.incumbent.defects import (
    KINDS,
    REMEMBERED_TRADES,
    STALE_RUN_FRAMES,
    DeltaJudge,
    RepeatedTrades,
    delta_ids,
)
from backpack_feed.incumbent.observed import FrameWitness, Market


@pytest.fixture
def counts():
    return dict.fromkeys(KINDS, 0)


def counted(counts):
    return {kind: count for kind, count in counts.items() if count}


@pytest.mark.parametrize(
    ("first_id", "last_id", "defects"),
    [
        (1001, 1001, {}),
        (1001, 1007, {}),
        (999, 1003, {}),
        (1002, 1002, {"book_gap_unnoticed": 1}),
        (1500, 1500, {"book_gap_unnoticed": 1}),
        (1000, 1000, {"delta_applied_twice": 1}),
        (990, 999, {}),
    ],
)
def test_a_delta_is_judged_by_the_id_of_the_book_that_it_met(counts, first_id, last_id, defects):
    """At book 1000: the next id or an overlap is right, a hole and the same id again are not."""
    DeltaJudge(counts).delta("SOL-USDC", first_id, last_id, 1000)
    assert counted(counts) == defects


def test_a_restart_of_the_ids_is_counted_once_per_run(counts):
    """A few late deltas are none; a run of them is a book that never moves again."""
    judge = DeltaJudge(counts)
    for last_id in range(1, STALE_RUN_FRAMES):
        judge.delta("A", last_id, last_id, 1000)
    judge.delta("A", 1001, 1001, 1000)
    assert counted(counts) == {}
    for last_id in range(1, 3 * STALE_RUN_FRAMES):
        judge.delta("A", last_id, last_id, 1001)
    assert counted(counts) == {"sequence_restart_freeze": 1}


def test_a_trade_is_repeated_when_its_id_was_handed_out_before(counts):
    """Reordered trades and trades without an id are not repeats."""
    trades = RepeatedTrades(counts)
    for trade_id in (5, 7, 6, None, None, 0, 0, 7):
        trades.handed_out(trade_id)
    assert counted(counts) == {"repeated_trade": 1}


def test_the_memory_of_ids_is_bounded(counts):
    """What is older than ccxt's own cache is forgotten."""
    trades = RepeatedTrades(counts)
    for trade_id in range(1, 3 * REMEMBERED_TRADES):
        trades.handed_out(trade_id)
    trades.handed_out(1)
    assert counted(counts) == {}
    assert len(trades._ids) == REMEMBERED_TRADES


@pytest.mark.parametrize(
    ("data", "ids"),
    [
        ({"U": 1, "u": 2}, (1, 2)),
        ({"U": "1", "u": "2"}, (1, 2)),
        ({"U": 1}, None),
        ({"U": 1, "u": None}, None),
        ({"U": [], "u": {}}, None),
    ],
)
def test_ids_of_a_delta_may_be_texts_and_may_be_missing(data, ids):
    """Looking on must never raise where ccxt does not."""
    assert delta_ids(data) == ids


SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
VALUES = st.recursive(
    SCALARS | st.sampled_from(["depth", "trade", "SOL_USDC", "account.positionUpdate"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["data", "stream", "error", "code", "message", "e", "s", "U", "u"]),
            inner,
            max_size=6,
        )
    ),
    max_leaves=12,
)


@settings(max_examples=500)
@given(message=VALUES, nonce=st.none() | st.integers(0, 10))
def test_looking_on_never_raises(message, nonce):
    """Whatever ccxt survives must not fail because somebody looked at it."""
    counters = FeedCounters(ccxt_defects=dict.fromkeys(KINDS, 0))
    channels = frozenset({"trades", "l2_book", "positions"})
    markets = {"SOL_USDC": Market("SOL-USDC", "SOL/USDC", channels)}
    witness = FrameWitness(markets, counters, lambda: 1.0, lambda: 1.0)
    route = witness.arrived(message)
    if route is not None:
        witness.handled(route, message["data"], nonce)
    assert set(counters.ccxt_defects) == set(KINDS)
    assert set(counters.heard_at) <= {"SOL-USDC"}


def test_every_kind_is_documented():
    """An operator who sees a kind on a dashboard finds it in the page about the feed."""
    page = (Path(__file__).parents[2] / "docs" / "exchanges" / "backpack.md").read_text()
    table = page.partition("| `kind` | One count is |")[2].partition("\n\n")[0]
    assert set(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)) == set(KINDS)
