"""The sandbox's engine against a plain matcher: priorities, terms, ids, and what it tells."""

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from backpack_sandbox.market.book import Side
from backpack_sandbox.market.catalog import build_catalog
from backpack_sandbox.market.events import BookEvent, MarketEvent, OrderEvent, TopEvent, TradeEvent
from backpack_sandbox.market.matching import MarketState, MatchingEngine
from backpack_sandbox.market.orders import (
    ANONYMOUS,
    OrderRefusedError,
    OrderRequest,
    OrderStatus,
    SelfTradePrevention,
    TimeInForce,
)
from tests.support.plain_matcher import PlainMatcher, PostOnlyWouldTakeError

SOL = build_catalog()["SOL_USDC"]
START = MarketState(last_update_id=1000, last_trade_id=500, last_order_id=10)
ACCOUNTS = st.sampled_from([ANONYMOUS, ANONYMOUS, "house", "trader"])
SIDES = st.sampled_from(Side)
PRICES = st.integers(97, 103)
TERMS = st.fixed_dictionaries(
    {
        "account": ACCOUNTS,
        "side": SIDES,
        "time_in_force": st.sampled_from(TimeInForce),
        "self_trade_prevention": st.sampled_from(SelfTradePrevention),
        "client_id": st.none() | st.integers(0, 9),
    }
)
LIMITS = st.builds(
    lambda terms, price, quantity: OrderRequest(**terms, price=price, quantity=quantity),
    TERMS,
    PRICES,
    st.integers(1, 30),
)
RESTING = st.builds(
    lambda account, side, price, quantity, post_only: OrderRequest(
        account=account, side=side, price=price, quantity=quantity, post_only=post_only
    ),
    ACCOUNTS,
    SIDES,
    PRICES,
    st.integers(1, 30),
    st.booleans(),
)
MARKETS = st.builds(
    lambda terms, quantity: OrderRequest(**terms, price=None, quantity=quantity),
    TERMS,
    st.integers(1, 80),
)
QUOTED = st.builds(
    lambda terms, quote: OrderRequest(**terms, price=None, quantity=None, quote_quantity=quote),
    TERMS,
    st.integers(1, 8000),
)

type Books = dict[Side, dict[int, int]]


def apply(books: Books, event: BookEvent) -> None:
    """A delta as a client applies it: absolute, 0 deletes, and only what is there."""
    for side, levels in ((Side.BID, event.bids), (Side.ASK, event.asks)):
        for price, quantity in levels:
            books[side][price] = quantity
            if not quantity:
                del books[side][price]


class EngineAgainstPlainMatcher(RuleBasedStateMachine):
    """Whatever is asked, both say the same, and the engine's events tell exactly that."""

    def __init__(self) -> None:
        super().__init__()
        self.engine = MatchingEngine(SOL, START)
        self.plain = PlainMatcher(START.last_order_id)
        self.requests: dict[int, OrderRequest] = {}
        self.events: list[MarketEvent] = []
        self.snapshots: list[tuple[int, Books]] = []
        self.keep_snapshot()

    def keep_snapshot(self) -> None:
        book = {side: dict(self.engine.book.levels(side)) for side in Side}
        self.snapshots.append((self.engine.last_update_id, book))

    @rule(request=RESTING | LIMITS | MARKETS | QUOTED)
    def submit(self, request: OrderRequest) -> None:
        before = self.engine.state()
        try:
            expected = self.plain.submit(request)
        except PostOnlyWouldTakeError:
            self.assert_refused(request, before)
            return
        execution = self.engine.submit(request)
        order = execution.order
        assert (order.status, order.executed) == expected
        assert order.order_id == self.plain.last_id
        assert (order.expiry_reason is not None) == (order.status is OrderStatus.EXPIRED)
        self.requests[order.order_id] = request
        self.told(execution.events)

    def assert_refused(self, request: OrderRequest, before: MarketState) -> None:
        """A post-only order never takes: it is refused and nothing changed, not even an id."""
        with pytest.raises(OrderRefusedError, match="immediately match") as refusal:
            self.engine.submit(request)
        assert refusal.value.code == "INVALID_ORDER"
        assert self.engine.state() == before

    @precondition(lambda self: self.plain.orders)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        order_id = data.draw(st.sampled_from([order.order_id for order in self.plain.orders]))
        self.plain.cancel(order_id)
        self.told(self.engine.cancel(order_id))
        assert self.engine.resting(order_id) is None

    @precondition(lambda self: self.plain.orders)
    @rule(data=st.data())
    def requote(self, data: st.DataObject) -> None:
        """A maker moves an order by one tick away from the other side, under one id."""
        old = data.draw(st.sampled_from(self.plain.orders))
        away = -1 if old.side is Side.BID else 1
        request = OrderRequest(
            account=old.account,
            side=old.side,
            price=old.price + away,
            quantity=old.left,
            post_only=True,
        )
        self.plain.cancel(old.order_id)
        self.plain.submit(request)
        self.requests[self.plain.last_id] = request
        events = self.engine.requote([old.order_id], [request])
        assert sum(isinstance(event, BookEvent) for event in events) == 1
        self.told(events)

    def told(self, events: list[MarketEvent]) -> None:
        kinds = [type(event) for event in events]
        ranks = [{TradeEvent: 1, OrderEvent: 2}.get(kind, 0) for kind in kinds]
        assert ranks == sorted(ranks)
        self.events += events
        self.keep_snapshot()

    @invariant()
    def both_books_hold_the_same_orders(self) -> None:
        """Levels are the sums of resting orders, and partly filled ones kept what is left."""
        for side in Side:
            assert self.engine.book.levels(side) == sorted(self.plain.levels(side).items())
        for order in self.plain.orders:
            resting = self.engine.resting(order.order_id)
            assert resting
            assert resting.remaining == order.left
        for account in ("house", "trader"):
            own = [o.order_id for o in self.plain.orders if o.account == account]
            assert [o.order_id for o in self.engine.open_orders(account)] == own

    @invariant()
    def the_book_is_not_crossed(self) -> None:
        bid, ask = (self.engine.book.best_price(side) for side in Side)
        assert bid is None or ask is None or bid < ask

    @invariant()
    def the_last_top_told_is_the_top(self) -> None:
        tops = [event for event in self.events if isinstance(event, TopEvent)]
        if tops:
            best = self.engine.book.best(Side.BID), self.engine.book.best(Side.ASK)
            assert (tops[-1].bid, tops[-1].ask) == best

    def teardown(self) -> None:
        self.check_ids()
        self.check_trades()
        self.check_quantities()
        self.check_replay()
        self.check_changes()
        self.check_restart()

    def check_ids(self) -> None:
        """Every id is used once, and none is left out."""
        updates = [event.update_id for event in self.events if isinstance(event, BookEvent)]
        assert updates == list(range(1001, self.engine.last_update_id + 1))
        trades = [event.trade_id for event in self.events if isinstance(event, TradeEvent)]
        assert trades == list(range(501, self.engine.last_trade_id + 1))
        assert list(self.requests) == list(range(11, self.engine.last_order_id + 1))

    def check_trades(self) -> None:
        """Two sides that the engine knew, the maker older, in the plain matcher's order."""
        seen = []
        for trade in (event for event in self.events if isinstance(event, TradeEvent)):
            buyer, seller = trade.buyer_order_id, trade.seller_order_id
            assert self.requests[buyer].side is Side.BID
            assert self.requests[seller].side is Side.ASK
            maker, taker = (buyer, seller) if trade.buyer_is_maker else (seller, buyer)
            assert maker < taker
            assert not self.requests[taker].post_only
            seen.append((maker, taker, trade.price, trade.quantity))
        assert seen == self.plain.trades

    def check_quantities(self) -> None:
        """Of each order: asked = executed + resting + taken back; its events say the same."""
        executed = dict.fromkeys(self.requests, 0)
        for maker, taker, _, quantity in self.plain.trades:
            executed[maker] += quantity
            executed[taker] += quantity
        last: dict[int, OrderEvent] = {}
        fills = dict.fromkeys(self.requests, 0)
        for event in (event for event in self.events if isinstance(event, OrderEvent)):
            number = event.order.order_id
            assert number not in last or last[number].order.is_open
            last[number] = event
            fills[number] += event.fill.quantity if event.fill else 0
            assert event.order.executed == fills[number]
        for number, request in self.requests.items():
            resting = self.engine.resting(number)
            if request.account == ANONYMOUS:
                assert number not in last
                continue
            order = last[number].order
            assert order.executed == executed[number] == fills[number]
            assert (resting is not None) == order.is_open
            assert resting is None or resting == order
            if order.status is OrderStatus.FILLED and request.quantity is not None:
                assert order.executed == request.quantity

    def check_replay(self) -> None:
        """The deltas after any snapshot lead to the true book."""
        truth = {side: dict(self.engine.book.levels(side)) for side in Side}
        deltas = [event for event in self.events if isinstance(event, BookEvent)]
        for update_id, snapshot in self.snapshots:
            books = {side: dict(levels) for side, levels in snapshot.items()}
            for event in deltas:
                if event.update_id > update_id:
                    apply(books, event)
            assert books == truth

    def check_changes(self) -> None:
        """No update id is spent on nothing."""
        books: Books = {Side.BID: {}, Side.ASK: {}}
        for event in (event for event in self.events if isinstance(event, BookEvent)):
            before = {side: dict(levels) for side, levels in books.items()}
            apply(books, event)
            assert books != before

    def check_restart(self) -> None:
        """An engine made from the state has the same levels and the same named orders."""
        state = self.engine.state()
        again = MatchingEngine(SOL, state)
        for side in Side:
            assert again.book.levels(side) == self.engine.book.levels(side)
        assert again.state().orders == state.orders
        for account in ("house", "trader"):
            assert again.open_orders(account) == self.engine.open_orders(account)
        assert again.last_order_id >= state.last_order_id


EngineAgainstPlainMatcher.TestCase.settings = settings(
    max_examples=200, stateful_step_count=40, deadline=None
)
TestEngineAgainstPlainMatcher = EngineAgainstPlainMatcher.TestCase
