"""The sandbox's books: whatever happens, they stay possible, and the deltas tell all of it."""

from collections.abc import Iterable

from hypothesis import given, settings
from hypothesis import strategies as st

from backpack_sandbox.market.book import BookError, OrderBook, Side
from backpack_sandbox.market.catalog import build_catalog
from backpack_sandbox.market.decimals import Grid
from backpack_sandbox.market.events import BookEvent, MarketEvent, TopEvent, TradeEvent
from backpack_sandbox.market.matching import MarketState, MatchingEngine
from backpack_sandbox.market.model import MarketModel
from backpack_sandbox.market.orders import ANONYMOUS, Order, OrderRequest

CATALOG = build_catalog()
SIDES = st.sampled_from(Side)
ACTS = st.tuples(st.sampled_from(["rest", "remove", "fill"]), SIDES, st.integers(0, 9))


def assert_possible(book: OrderBook) -> None:
    bid, ask = book.best_price(Side.BID), book.best_price(Side.ASK)
    assert bid is None or ask is None or bid < ask
    for side in Side:
        levels = book.levels(side)
        assert [price for price, _ in levels] == sorted({price for price, _ in levels})
        orders = 0
        for level in book.best_first(side):
            assert level.quantity == sum(order.remaining for order in level.orders.values()) > 0
            assert all(order.remaining > 0 for order in level.orders.values())
            orders += len(level.orders)
        assert book.order_counts[side] == orders


@given(st.lists(st.tuples(ACTS, st.integers(1, 12)), max_size=60))
def test_a_book_is_never_crossed_and_a_refused_order_leaves_it_as_it_was(acts):
    """Any orders that rest, go or are filled keep the invariants, or raise and change nothing."""
    book = OrderBook()
    resting: list[Order] = []
    for number, ((kind, side, quantity), price) in enumerate(acts):
        if kind == "rest":
            request = OrderRequest(account=ANONYMOUS, side=side, price=price, quantity=quantity)
            order = Order("SOL_USDC", number, request)
            before = [book.levels(s) for s in Side]
            try:
                book.rest(order)
            except BookError:
                assert [book.levels(s) for s in Side] == before
            else:
                resting.append(order)
        elif resting:
            order = resting[price % len(resting)]
            if kind == "remove":
                book.remove(order)
                resting.remove(order)
            else:
                book.fill(order, min(quantity, order.remaining))
                resting = [order for order in resting if order.remaining]
        assert_possible(book)
    assert sum(book.order_counts.values()) == len(resting)


def replay(state: MarketState, events: Iterable[MarketEvent]) -> tuple[dict, dict]:
    bids, asks = dict(state.bids), dict(state.asks)
    for event in events:
        if isinstance(event, BookEvent):
            for side, levels in ((bids, event.bids), (asks, event.asks)):
                for price, quantity in levels:
                    side[price] = quantity
                    if not quantity:
                        del side[price]
    return bids, asks


def assert_told_exactly(start: MarketState, engine: MatchingEngine, events: list) -> None:
    books = [event for event in events if isinstance(event, BookEvent)]
    trades = [event for event in events if isinstance(event, TradeEvent)]
    first = start.last_update_id + 1
    assert [b.update_id for b in books] == list(range(first, engine.last_update_id + 1))
    first = start.last_trade_id + 1
    assert [t.trade_id for t in trades] == list(range(first, engine.last_trade_id + 1))
    bids, asks = replay(start, events)
    assert sorted(bids.items()) == engine.book.levels(Side.BID)
    assert sorted(asks.items()) == engine.book.levels(Side.ASK)


@settings(max_examples=25, deadline=None)
@given(symbol=st.sampled_from([s for s, m in CATALOG.items() if m.has_book]), seed=st.integers())
def test_a_seeded_market_stays_possible_and_tells_all_it_does(symbol, seed):
    """Three hundred steps of any market with any seed keep both sides and every invariant."""
    model = MarketModel(CATALOG[symbol], seed=seed, events_per_second=10, trades_per_second=2)
    start = model.engine.state()
    events: list[MarketEvent] = []
    for _ in range(300):
        step = model.step()
        tops = [event for event in step if isinstance(event, TopEvent)]
        if tops:
            assert tops[-1].bid == model.engine.book.best(Side.BID)
            assert tops[-1].ask == model.engine.book.best(Side.ASK)
        events += step
        assert_possible(model.engine.book)
        assert model.engine.book.best(Side.BID)
        assert model.engine.book.best(Side.ASK)
    assert_told_exactly(start, model.engine, events)


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(),
    orders=st.lists(
        st.tuples(SIDES, st.none() | st.integers(9_700, 10_100), st.integers(1, 200_000)),
        min_size=1,
        max_size=8,
    ),
)
def test_a_market_recovers_from_whatever_an_account_does_to_its_book(seed, orders):
    """Emptied sides fill again, and a wall of someone's orders is traded through or stays."""
    model = MarketModel(CATALOG["SOL_USDC"], seed=seed, events_per_second=10, trades_per_second=2)
    for side, price, quantity in orders:
        request = OrderRequest(account="trader", side=side, price=price, quantity=quantity)
        model.engine.submit(request)
        for _ in range(40):
            model.step()
            assert_possible(model.engine.book)
    for _ in range(200):
        model.step()
    assert all(len(model.engine.book.prices(side)) > 6 for side in Side)


@given(unit=st.sampled_from(["0.01", "0.00001", "1", "100", "10000"]), count=st.integers(0, 10**12))
def test_padded_and_normal_text_are_the_same_exact_value(unit, count):
    """Both forms of a decimal parse back to the same count of ticks."""
    grid = Grid(unit)
    assert grid.count(grid.padded(count)) == grid.count(grid.normal(count)) == count
    assert not (grid.decimals and grid.normal(count).endswith("0") and "." in grid.normal(count))
