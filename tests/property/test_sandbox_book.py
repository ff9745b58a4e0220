"""The sandbox's books: whatever happens, they stay possible, and the deltas tell all of it."""

from collections.abc import Iterable

from hypothesis import given, settings
from hypothesis import strategies as st

from backpack_sandbox.market.book import BookError, OrderBook, Side
from backpack_sandbox.market.catalog import build_catalog
from backpack_sandbox.market.decimals import Grid
from backpack_sandbox.market.events import BookEvent, MarketEvent, OrderEvent, TopEvent, TradeEvent
from backpack_sandbox.market.matching import MarketState, MatchingEngine
from backpack_sandbox.market.model import MarketModel

CATALOG = build_catalog()
SOL = CATALOG["SOL_USDC"]
SIDES = st.sampled_from(Side)
PRICES = st.integers(1, 40)
QUANTITIES = st.integers(0, 9)


def assert_possible(book: OrderBook) -> None:
    bid, ask = book.best_price(Side.BID), book.best_price(Side.ASK)
    assert bid is None or ask is None or bid < ask
    for side in Side:
        levels = book.levels(side)
        assert all(quantity > 0 for _, quantity in levels)
        assert [price for price, _ in levels] == sorted({price for price, _ in levels})


@given(st.lists(st.tuples(SIDES, PRICES, QUANTITIES), max_size=60))
def test_a_book_is_never_crossed_and_a_refused_change_leaves_it_as_it_was(changes):
    """Any sequence of absolute levels keeps the invariants, or raises and changes nothing."""
    book = OrderBook()
    for side, price, quantity in changes:
        before = [book.levels(s) for s in Side]
        try:
            book.set_level(side, price, quantity)
        except BookError:
            assert [book.levels(s) for s in Side] == before
        else:
            assert book.quantity(side, price) == quantity
        assert_possible(book)


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


ACTS = st.one_of(
    st.tuples(st.just("quote"), SIDES, st.integers(1, 15), st.integers(0, 50)),
    st.tuples(st.just("take"), SIDES, st.integers(1, 80), st.booleans()),
    st.tuples(st.just("place"), SIDES, st.integers(1, 15), st.integers(1, 50)),
    st.tuples(st.just("cancel")),
)


def act(engine: MatchingEngine, order: tuple) -> list[MarketEvent]:
    match order:
        case ("quote", side, distance, quantity):
            price = 100 - distance if side is Side.BID else 100 + distance
            return engine.quote([(side, price, quantity)])
        case ("take", side, quantity, by_house):
            return engine.take(side, quantity, by_house=by_house)
        case ("place", side, distance, quantity):
            price = 100 - distance if side is Side.BID else 100 + distance
            return engine.place(side, price, quantity)
        case _:
            return engine.cancel_oldest() if len(engine.house) else []


@given(st.lists(ACTS, max_size=50))
def test_the_events_of_an_engine_rebuild_its_book_with_ids_without_a_hole(orders):
    """Deltas replayed over the start give the book; update and trade ids step by one."""
    start = MarketState(
        bids=[(98, 5), (99, 5)],
        asks=[(101, 5), (102, 5)],
        last_update_id=1000,
        last_trade_id=500,
        last_order_id=10,
    )
    engine = MatchingEngine(SOL, start)
    events: list[MarketEvent] = []
    for order in orders:
        events += act(engine, order)
        assert_possible(engine.book)
    assert_told_exactly(start, engine, events)


@given(st.lists(ACTS, max_size=50))
def test_house_orders_never_execute_more_than_they_are(orders):
    """Each house order's fills add up to at most its quantity, and Filled means all of it."""
    start = MarketState(last_update_id=0, last_trade_id=0, last_order_id=0)
    engine = MatchingEngine(SOL, start)
    filled: dict[int, int] = {}
    for order in orders:
        for event in act(engine, order):
            if isinstance(event, OrderEvent) and event.fill:
                filled[event.order_id] = filled.get(event.order_id, 0) + event.fill.quantity
                assert event.executed == filled[event.order_id] <= event.quantity
                assert (event.state == "Filled") == (event.executed == event.quantity)


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


@given(unit=st.sampled_from(["0.01", "0.00001", "1", "100", "10000"]), count=st.integers(0, 10**12))
def test_padded_and_normal_text_are_the_same_exact_value(unit, count):
    """Both forms of a decimal parse back to the same count of ticks."""
    grid = Grid(unit)
    assert grid.count(grid.padded(count)) == grid.count(grid.normal(count)) == count
    assert not (grid.decimals and grid.normal(count).endswith("0") and "." in grid.normal(count))
