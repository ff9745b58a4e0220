"""The sandbox's matching engine, case by case: terms, self-trades, priorities, restarts."""

import pytest

from backpack_sandbox.market.book import BookError, Side
from backpack_sandbox.market.catalog import build_catalog
from backpack_sandbox.market.events import BookEvent, OrderEvent, TopEvent, TradeEvent
from backpack_sandbox.market.matching import MarketState, MatchingEngine
from backpack_sandbox.market.orders import (
    ANONYMOUS,
    ExpiryReason,
    OrderRefusedError,
    OrderRequest,
    OrderStatus,
    SelfTradePrevention,
    TimeInForce,
)

SOL = build_catalog()["SOL_USDC"]
BIDS = [(98, 5), (99, 5)]
ASKS = [(101, 5), (102, 5)]


def state(**changes) -> MarketState:
    start = {"bids": BIDS, "asks": ASKS, "last_update_id": 1000}
    return MarketState(**(start | {"last_trade_id": 500, "last_order_id": 10} | changes))


def engine(**changes) -> MatchingEngine:
    return MatchingEngine(SOL, state(**changes))


def request(side: Side, price: int | None, quantity: int | None, **terms) -> OrderRequest:
    return OrderRequest(
        account=terms.pop("account", "trader"), side=side, price=price, quantity=quantity, **terms
    )


def told(events) -> list:
    """(kind, order id, status, reason) of the order events."""
    return [
        (e.kind, e.order.order_id, e.order.status, e.order.expiry_reason)
        for e in events
        if isinstance(e, OrderEvent)
    ]


def test_a_sweep_is_one_delta_per_level_and_what_is_left_rests_in_another():
    """Depth and tops first, then trades, then orders; accepted when it comes to rest."""
    market = engine()
    execution = market.submit(request(Side.BID, 102, 12))
    assert execution.events[:6] == [
        BookEvent("SOL_USDC", 1001, (), ((101, 0),)),
        TopEvent("SOL_USDC", 1001, (99, 5), (102, 5)),
        BookEvent("SOL_USDC", 1002, (), ((102, 0),)),
        TopEvent("SOL_USDC", 1002, (99, 5), None),
        BookEvent("SOL_USDC", 1003, ((102, 2),), ()),
        TopEvent("SOL_USDC", 1003, (102, 2), None),
    ]
    trades = [event for event in execution.events if isinstance(event, TradeEvent)]
    assert [(t.trade_id, t.price, t.quantity) for t in trades] == [(501, 101, 5), (502, 102, 5)]
    assert [kind for kind, *_ in told(execution.events)] == [
        "orderFill",
        "orderFill",
        "orderAccepted",
    ]
    assert execution.order.status is OrderStatus.PARTIALLY_FILLED
    assert execution.order.executed_notional == 5 * 101 + 5 * 102
    assert market.open_orders("trader") == [execution.order]


def test_an_older_order_trades_first_and_keeps_its_place_when_partly_filled():
    """Price, then time: also after a fill of a part."""
    market = engine(bids=[], asks=[])
    first = market.submit(request(Side.ASK, 101, 6, account="house")).order.order_id
    second = market.submit(request(Side.ASK, 101, 6)).order.order_id
    better = market.submit(request(Side.ASK, 100, 1)).order.order_id
    makers = [
        event.seller_order_id
        for quantity in (4, 4)
        for event in market.submit(request(Side.BID, None, quantity, account=ANONYMOUS)).events
        if isinstance(event, TradeEvent)
    ]
    assert makers == [better, first, first, second]


@pytest.mark.parametrize(
    ("terms", "reason", "executed"),
    [
        ({"time_in_force": TimeInForce.IOC}, ExpiryReason.IMMEDIATE_OR_CANCEL, 5),
        ({"time_in_force": TimeInForce.FOK}, ExpiryReason.FILL_OR_KILL, 0),
    ],
)
def test_what_may_not_wait_expires_and_never_rests(terms, reason, executed):
    """IOC keeps what it got, FOK is all or nothing; neither was accepted."""
    market = engine()
    execution = market.submit(request(Side.BID, 101, 6, **terms))
    assert execution.order.executed == executed
    assert told(execution.events)[-1] == ("orderExpired", 15, OrderStatus.EXPIRED, reason)
    assert "orderAccepted" not in {kind for kind, *_ in told(execution.events)}
    assert market.open_orders("trader") == []
    assert market.book.best_price(Side.BID) == 99


def test_a_market_order_beyond_the_book_expires():
    """What the book cannot give is InsufficientLiquidity."""
    execution = engine().submit(request(Side.ASK, None, 11))
    assert execution.order.executed == 10
    assert execution.order.expiry_reason is ExpiryReason.INSUFFICIENT_LIQUIDITY


@pytest.mark.parametrize(
    ("quote", "executed", "status"),
    [
        (505, 5, OrderStatus.FILLED),
        (505 + 100, 5, OrderStatus.FILLED),
        (505 + 101, 5, OrderStatus.EXPIRED),
        (505 + 102, 6, OrderStatus.FILLED),
        (100, 0, OrderStatus.EXPIRED),
        (505 + 510 + 102, 10, OrderStatus.EXPIRED),
    ],
)
@pytest.mark.parametrize("tif", [TimeInForce.IOC, TimeInForce.FOK])
def test_a_quote_quantity_buys_whole_steps(quote, executed, status, tif):
    """It is filled when the rest buys nothing at its last price, and all or nothing as FOK."""
    terms = {"quote_quantity": quote, "time_in_force": tif}
    order = engine().submit(request(Side.BID, None, None, **terms)).order
    nothing = tif is TimeInForce.FOK and status is OrderStatus.EXPIRED
    assert (order.executed, order.status) == (0 if nothing else executed, status)


@pytest.mark.parametrize(
    ("mode", "executed", "left", "own"),
    [
        (SelfTradePrevention.REJECT_TAKER, 5, 0, 3),
        (SelfTradePrevention.REJECT_MAKER, 9, 0, 0),
        (SelfTradePrevention.REJECT_BOTH, 5, 0, 0),
        (SelfTradePrevention.ALLOW, 9, 0, 0),
    ],
)
def test_self_trades_are_prevented_as_the_taker_wishes(mode, executed, left, own):
    """101 holds 5 of others and then 3 of its own; 102 holds 5 of others."""
    market = engine()
    mine = market.submit(request(Side.ASK, 101, 3)).order.order_id
    execution = market.submit(request(Side.BID, 102, 9, self_trade_prevention=mode))
    assert execution.order.executed == executed
    assert market.book.quantity(Side.BID, 102) == left
    assert sum(order.remaining for order in market.open_orders("trader")) == own
    trades = [event for event in execution.events if isinstance(event, TradeEvent)]
    assert (mine in {t.seller_order_id for t in trades}) == (mode is SelfTradePrevention.ALLOW)
    expired = {number for kind, number, *_ in told(execution.events) if kind == "orderExpired"}
    taker = execution.order.order_id
    assert (
        expired
        == {
            SelfTradePrevention.REJECT_TAKER: {taker},
            SelfTradePrevention.REJECT_MAKER: {mine},
            SelfTradePrevention.REJECT_BOTH: {mine, taker},
            SelfTradePrevention.ALLOW: set(),
        }[mode]
    )


@pytest.mark.parametrize(
    ("mode", "status"),
    [
        (SelfTradePrevention.REJECT_TAKER, OrderStatus.EXPIRED),
        (SelfTradePrevention.REJECT_MAKER, OrderStatus.FILLED),
        (SelfTradePrevention.REJECT_BOTH, OrderStatus.EXPIRED),
    ],
)
def test_fill_or_kill_counts_only_what_it_may_trade_with(mode, status):
    """Its own order stands in the way, unless it is that order which goes."""
    market = engine()
    market.submit(request(Side.ASK, 101, 3))
    terms = {"time_in_force": TimeInForce.FOK, "self_trade_prevention": mode}
    execution = market.submit(request(Side.BID, 102, 9, **terms))
    assert execution.order.status is status
    if status is OrderStatus.EXPIRED:
        assert execution.order.expiry_reason is ExpiryReason.FILL_OR_KILL
        assert market.book.levels(Side.ASK) == [(101, 8), (102, 5)]


@pytest.mark.parametrize(
    ("bad", "code"),
    [
        (request(Side.BID, 101, 1, post_only=True), "INVALID_ORDER"),
        (request(Side.BID, None, 1, post_only=True), "INVALID_ORDER"),
        (request(Side.BID, 99, 0), "INVALID_QUANTITY"),
        (request(Side.BID, None, None), "INVALID_QUANTITY"),
        (request(Side.BID, None, None, quote_quantity=0), "INVALID_QUANTITY"),
        (request(Side.BID, 0, 5), "INVALID_PRICE"),
        (request(Side.BID, 99, None, quote_quantity=500), "INVALID_PRICE"),
    ],
)
def test_a_refused_order_changes_nothing(bad, code):
    """Not even an id is used."""
    market = engine()
    before = market.state()
    with pytest.raises(OrderRefusedError) as refusal:
        market.submit(bad)
    assert refusal.value.code == code
    assert market.state() == before


def test_a_maker_moves_several_quotes_under_one_id():
    """One delta with the levels in the order in which they changed; one that would take, none."""
    market = engine()
    quotes = [request(Side.BID, p, 2, post_only=True, account=ANONYMOUS) for p in (97, 100)]
    old = market.submit(quotes[0]).order.order_id
    events = market.requote([old], [quotes[1], quotes[0]])
    assert events[0] == BookEvent("SOL_USDC", 1002, ((97, 2), (100, 2)), ())
    before = market.state()
    crossing = request(Side.BID, 101, 2, post_only=True)
    with pytest.raises(OrderRefusedError):
        market.requote([], [quotes[0], crossing])
    with pytest.raises(KeyError):
        market.requote([old], [quotes[0]])
    assert market.state() == before


def test_a_cancelled_order_is_gone_and_cannot_be_cancelled_again():
    """The level loses what remained of it, and its owner hears of it."""
    market = engine()
    order = market.submit(request(Side.BID, 99, 4)).order
    events = market.cancel(order.order_id)
    assert events[0] == BookEvent("SOL_USDC", 1002, ((99, 5),), ())
    assert told(events) == [("orderCancelled", order.order_id, OrderStatus.CANCELLED, None)]
    with pytest.raises(KeyError):
        market.cancel(order.order_id)


def test_after_a_restart_the_anonymous_part_of_a_level_is_older_than_the_named_orders():
    """And no order id is used twice."""
    market = engine()
    order = market.submit(request(Side.ASK, 101, 4)).order
    again = MatchingEngine(SOL, market.state())
    assert again.open_orders("trader") == [order]
    taker = again.submit(request(Side.BID, None, 7, account=ANONYMOUS))
    trades = [event for event in taker.events if isinstance(event, TradeEvent)]
    assert [trade.quantity for trade in trades] == [5, 2]
    assert trades[1].seller_order_id == order.order_id
    ids = {trade.seller_order_id for trade in trades} | {taker.order.order_id}
    assert len(ids) == 3
    assert taker.order.order_id == max(ids) > market.last_order_id


def test_a_state_whose_orders_are_not_in_its_book_is_refused():
    """It belongs to another ledger, or to none."""
    market = engine()
    market.submit(request(Side.ASK, 101, 4))
    orders = market.state().orders
    with pytest.raises(BookError, match="holds less than its orders"):
        engine(orders=orders, asks=[(101, 3)])
    with pytest.raises(BookError, match="in no level"):
        engine(orders=orders, asks=[(102, 9)])
