"""The benchmark's own claims: what it feeds its contenders, and what it refuses to report."""

import struct
from decimal import Decimal

import msgspec
import pytest

from benchmarks.backpack_wire import backpack_capture
from benchmarks.figures import Day, InvalidRun, Plan, check
from benchmarks.flow import Depth, build_flow
from benchmarks.gate_wire import gate_capture
from benchmarks.job import Line, Top

MARKETS, EVENTS = 5, 20_000
PLAN = Plan(contender="native", warmup=10, messages=1_000)


@pytest.fixture(scope="module")
def day():
    flow = build_flow(markets=MARKETS, events=EVENTS)
    return Day(flow, backpack_capture(flow, 10**15), gate_capture(flow, 10**15))


@pytest.fixture
def line(day):
    """What a feed reports that lost nothing."""
    books = day.book_frames(PLAN.messages)
    tops = zip(day.backpack.symbols, day.flow.tops(PLAN.messages), strict=True)
    return Line(
        event="result",
        seen=PLAN.messages,
        measured=990,
        trades=PLAN.messages - books,
        book_callbacks=books,
        tops={symbol: Top(str(bid), str(ask)) for symbol, (bid, ask) in tops},
    )


def messages(frames):
    for frame in frames:
        size = frame[1]
        head = 4 if size == 126 else 2
        payload = frame[head:]
        assert len(payload) == (struct.unpack("!H", frame[2:4])[0] if head == 4 else size)
        yield msgspec.json.decode(payload)


def test_books_stay_at_200_levels_and_never_cross(day):
    """What comes and goes balances, and a bid is always below every ask."""
    for market, start in enumerate(day.flow.snapshots):
        book = start.copy()
        for event in day.flow.events:
            if isinstance(event, Depth) and event.market == market:
                for change in event.changes:
                    book.apply(change)
                assert max(book.bids) < min(book.asks)
        assert all(150 < len(side) < 250 for side in (book.bids, book.asks))


def test_mix_is_the_venues(day):
    """About one level in a frame, and one trade in twenty."""
    depths = [event for event in day.flow.events if isinstance(event, Depth)]
    assert 0.94 < len(depths) / EVENTS < 0.96
    assert 1.0 < sum(len(event.changes) for event in depths) / len(depths) < 1.1


def test_ids_continue_the_snapshot_without_a_hole(day):
    """Per market: the primer is the snapshot's next id, and every frame the next after it."""
    snapshot = day.backpack.rest["/api/v1/depth", "SOL_USDC"]
    last_id = int(msgspec.json.decode(snapshot)["lastUpdateId"]) + 1
    trade_id = None
    for message in messages(day.backpack.frames):
        data = message["data"]
        if data["s"] == "SOL_USDC" and data["e"] == "depth":
            assert data["U"] == data["u"] == last_id + 1
            last_id = data["u"]
        elif data["s"] == "SOL_USDC":
            assert trade_id is None or data["t"] == trade_id + 1
            trade_id = data["t"]


def test_gate_frames_say_what_backpack_frames_say(day):
    """Frame by frame the same levels, or the same trade, in another venue's words."""
    pairs = zip(messages(day.backpack.frames), messages(day.gate.frames), strict=True)
    for ours, theirs in pairs:
        data, result = ours["data"], theirs["result"]
        if data["e"] == "depth":
            assert [data["a"], data["b"], data["u"]] == [result["a"], result["b"], result["u"]]
        else:
            assert [data["p"], data["q"], data["t"]] == [
                result["price"],
                result["amount"],
                result["id"],
            ]


def test_complete_run_is_accepted(day, line):
    """Nothing lost, nothing repeated, every book as it must be."""
    check(PLAN, day, line)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"seen": 999}, "1000 messages sent, 999 delivered"),
        ({"seen": 1001}, "1000 messages sent, 1001 delivered"),
        ({"trades": 0}, "0 delivered"),
        ({"book_callbacks": 1}, "1 delivered"),
        ({"tops": {}}, "SOL-USDC ended at None"),
        ({"complaints": ["book_resyncs: 1"]}, "native: book_resyncs: 1"),
    ],
)
def test_incomplete_run_is_refused(day, line, change, complaint):
    """A figure of a run that lost, repeated or spoiled something is never reported."""
    with pytest.raises(InvalidRun, match=complaint):
        check(PLAN, day, msgspec.structs.replace(line, **change))


def test_wrong_book_is_refused(day, line):
    """A book one tick off at the end spoils the run."""
    top = line.tops["SOL-USDC"]
    bid = str(Decimal(top.bid) - Decimal("0.01"))
    tops = line.tops | {"SOL-USDC": Top(bid, top.ask)}
    with pytest.raises(InvalidRun, match="SOL-USDC ended at"):
        check(PLAN, day, msgspec.structs.replace(line, tops=tops))
