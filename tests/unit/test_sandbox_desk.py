"""What the desk takes, what it refuses and in which words, and what an order does to funds."""

from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal

import pytest

from backpack_sandbox.account.margin import INITIAL_MARGIN
from backpack_sandbox.constants import HOUSE, TRADER
from backpack_sandbox.market.book import Side
from backpack_sandbox.market.orders import (
    ExpiryReason,
    OrderRefusedError,
    OrderRequest,
    OrderStatus,
    SelfTradePrevention,
    TimeInForce,
)
from backpack_sandbox.truth.recovery import recover
from tests.support import trading_floor
from tests.support.trading_floor import CATALOG, PERP, SPOT, TradingFloor, limit, market

BID, ASK = Side.BID, Side.ASK


@pytest.fixture
def floor(tmp_path) -> Iterator[TradingFloor]:
    floor = TradingFloor(tmp_path)
    floor.advance(3)
    yield floor
    floor.close()


def refusal(floor: TradingFloor, symbol: str, request: OrderRequest) -> tuple[str, str]:
    frames, size = floor.frames(TRADER, "account.orderUpdate"), floor.ledger.size_bytes
    with pytest.raises(OrderRefusedError) as refused:
        floor.desk.place(symbol, request)
    assert floor.frames(TRADER, "account.orderUpdate") == frames
    assert floor.ledger.size_bytes == size
    return refused.value.code, refused.value.message


def with_state(floor: TradingFloor, monkeypatch: pytest.MonkeyPatch, state: str) -> None:
    closed = trading_floor.CATALOG | {SPOT: replace(trading_floor.CATALOG[SPOT], state=state)}
    monkeypatch.setattr(floor.desk, "_catalog", closed)


def test_a_resting_order_locks_its_price_and_a_cancel_frees_it(floor):
    """And the owner finds it by either of its ids, until it is gone."""
    order = floor.desk.place(SPOT, limit(BID, 9800, 150, client_id=7))
    assert order.status is OrderStatus.NEW
    assert floor.balance(TRADER, "USDC") == (1_000_000 - 147, 147)
    for ids in (
        {"order_id": order.order_id, "client_id": None},
        {"order_id": None, "client_id": 7},
    ):
        found = floor.desk.order(TRADER, SPOT, **ids)
        assert found == order
    ended = floor.desk.cancel(TRADER, SPOT, order_id=None, client_id=7)
    assert (ended.order_id, ended.status) == (order.order_id, OrderStatus.CANCELLED)
    assert floor.balance(TRADER, "USDC") == (1_000_000, 0)
    with pytest.raises(OrderRefusedError, match="Not Found"):
        floor.desk.cancel(TRADER, SPOT, order_id=order.order_id, client_id=None)


def test_nobody_cancels_or_sees_the_order_of_another(floor):
    """Neither by id nor by cancelling all."""
    order = floor.desk.place(SPOT, limit(BID, 9800, 150))
    assert floor.desk.order(HOUSE, SPOT, order_id=order.order_id, client_id=None) is None
    with pytest.raises(OrderRefusedError, match="Not Found"):
        floor.desk.cancel(HOUSE, SPOT, order_id=order.order_id, client_id=None)
    floor.desk.cancel_all(HOUSE, SPOT)
    assert floor.desk.open_orders(TRADER) == [order]
    assert floor.desk.open_orders(TRADER, market_type="PERP") == []
    assert [o.order_id for o in floor.desk.cancel_all(TRADER, SPOT)] == [order.order_id]


@pytest.mark.parametrize(
    ("state", "changes", "code"),
    [
        ("Closed", {}, "TRADING_PAUSED"),
        ("CancelOnly", {"post_only": True}, "TRADING_PAUSED"),
        ("PostOnly", {}, "INVALID_ORDER"),
        ("LimitOnly", {"price": None}, "INVALID_ORDER"),
    ],
)
def test_a_market_that_is_not_open_refuses(floor, monkeypatch, state, changes, code):
    """Each state what it must, and a cancel is always possible."""
    order = floor.desk.place(SPOT, limit(BID, 9800, 150))
    with_state(floor, monkeypatch, state)
    assert refusal(floor, SPOT, limit(BID, changes.pop("price", 9800), 10, **changes))[0] == code
    floor.desk.cancel(TRADER, SPOT, order_id=order.order_id, client_id=None)


def test_post_only_is_all_that_a_post_only_market_takes(floor, monkeypatch):
    """A GTC limit order, that is."""
    with_state(floor, monkeypatch, "PostOnly")
    assert floor.desk.place(SPOT, limit(BID, 9800, 1, post_only=True)).is_open
    ioc = limit(BID, 9800, 1, post_only=True, time_in_force=TimeInForce.IOC)
    assert refusal(floor, SPOT, ioc)[0] == "INVALID_ORDER"


def test_refusals_come_with_the_recorded_words(floor):
    """Code and message, as clients match on them."""
    top = floor.engines[SPOT].book.best_price(ASK)
    assert refusal(floor, SPOT, limit(BID, top, 1, post_only=True)) == (
        "INVALID_ORDER", "Order would immediately match and take",
    )  # fmt: skip
    assert refusal(floor, PERP, limit(BID, 5000, 1)) == (
        "INVALID_PRICE", "Price is too far from the last active price",
    )  # fmt: skip
    assert refusal(floor, "NO_SUCH", limit(BID, 1, 1))[1] == "Invalid market symbol"
    assert refusal(floor, "HNT_USDC", limit(BID, 1, 1))[0] == "TRADING_PAUSED"
    assert refusal(floor, SPOT, limit(BID, 9800, 0))[0] == "INVALID_QUANTITY"


def test_nobody_spends_more_than_he_has(floor):
    """Limit and market orders, by quantity and by quote quantity, on both sides."""
    sol = floor.balance(TRADER, "SOL")[0]
    too_much = ("INSUFFICIENT_FUNDS", "Insufficient funds")
    assert refusal(floor, SPOT, limit(BID, 9800, 1_020_409)) == too_much
    assert refusal(floor, SPOT, limit(ASK, 9990, int(sol * 100) + 1)) == too_much
    assert refusal(floor, SPOT, market(ASK, int(sol * 100) + 1)) == too_much
    assert refusal(floor, SPOT, market(BID, None, quote_quantity=10**10 + 1)) == too_much
    assert floor.desk.place(SPOT, limit(BID, 9800, 1_020_408)).is_open


def test_a_perpetual_needs_its_initial_margin(floor):
    """By the sqrt function, for all that is open on the worse side; less is always possible."""
    mark = Decimal(floor.mid(PERP)) / 100
    equity = floor.desk.funds.equity(TRADER)
    steps = 1
    while INITIAL_MARGIN.margin(mark * steps / 100) <= equity:
        steps *= 2
    while INITIAL_MARGIN.margin(mark * steps / 100) > equity:
        steps -= max(1, steps // 10_000)
    bid = floor.mid(PERP) - 40
    order = floor.desk.place(PERP, limit(BID, bid, steps))
    more = limit(BID, bid, steps // 1000)
    assert refusal(floor, PERP, more) == ("INSUFFICIENT_MARGIN", "Insufficient margin")
    assert floor.desk.place(PERP, limit(ASK, floor.mid(PERP) + 40, steps // 2)).is_open
    assert refusal(floor, SPOT, limit(BID, 9800, 10_000))[0] == "INSUFFICIENT_FUNDS"
    floor.desk.cancel(TRADER, PERP, order_id=order.order_id, client_id=None)
    assert floor.desk.place(PERP, more).is_open


def test_reduce_only_is_cut_to_the_position_and_refused_without_one(floor):
    """It never turns a position round."""
    far = floor.mid(PERP) + 60
    reduce = limit(ASK, far, 500, reduce_only=True)
    assert refusal(floor, PERP, reduce) == ("INVALID_ORDER", "Reduce only order not reduced")
    floor.desk.place(PERP, market(BID, 300))
    resting = floor.desk.place(PERP, reduce)
    assert resting.request.quantity == 300
    assert refusal(floor, PERP, market(ASK, 1, reduce_only=True))[0] == "INVALID_ORDER"
    floor.desk.cancel(TRADER, PERP, order_id=resting.order_id, client_id=None)
    closing = floor.desk.place(PERP, market(ASK, None, quote_quantity=10**8, reduce_only=True))
    assert closing.executed == 300
    assert floor.accounts[TRADER].position(PERP) is None


def test_an_empty_side_does_not_lift_the_price_band(floor):
    """The last price that anyone offers is the side's that is left."""
    usdt = "USDT_USDC"
    mid, book = floor.mid(usdt), floor.engines[usdt].book
    sweep = sum(quantity for _, quantity in book.levels(ASK))
    floor.desk.place(usdt, market(BID, sweep))
    assert not book.levels(ASK)
    assert refusal(floor, usdt, limit(ASK, mid * 900, 5)) == (
        "INVALID_PRICE", "Price is too far from the last active price",
    )  # fmt: skip
    assert floor.desk.place(usdt, limit(ASK, mid + 50, 5)).is_open


def test_resting_reduce_only_orders_shrink_with_the_position_and_go_with_it(floor):
    """The oldest keep theirs; book, stream, history and a restarted venue say the same."""
    far = floor.mid(PERP) + 60
    book = floor.engines[PERP].book
    floor.desk.place(PERP, market(BID, 300))
    old, new = (
        floor.desk.place(PERP, limit(ASK, price, 150, reduce_only=True)) for price in (far, far + 1)
    )
    before = book.quantity(ASK, far), book.quantity(ASK, far + 1)
    floor.desk.place(PERP, market(ASK, 100))
    last = floor.frames(TRADER, "account.orderUpdate")[-1]
    assert (last["e"], last["X"], last["q"], last["z"], last["i"]) == (
        "orderModified", "New", "0.50", "0", str(new.order_id),
    )  # fmt: skip
    assert (book.quantity(ASK, far), book.quantity(ASK, far + 1)) == (before[0], before[1] - 100)
    assert [o.remaining for o in floor.desk.open_orders(TRADER)] == [150, 50]
    assert floor.accounts.history.record(new).order.request.quantity == 50
    floor.publisher.commit()
    recovered = recover(floor.path, CATALOG)
    assert recovered.states[PERP].orders == floor.engines[PERP].state().orders
    floor.desk.place(PERP, market(ASK, 200))
    gone = floor.frames(TRADER, "account.orderUpdate")[-2:]
    assert [(f["e"], f["X"], f["R"], f["i"]) for f in gone] == [
        ("orderExpired", "Expired", "ReduceOnlyNotReduced", str(order.order_id))
        for order in (old, new)
    ]
    assert floor.desk.open_orders(TRADER) == []


@pytest.mark.parametrize(
    ("mode", "taker", "maker"),
    [
        (SelfTradePrevention.REJECT_TAKER, OrderStatus.EXPIRED, OrderStatus.NEW),
        (SelfTradePrevention.REJECT_MAKER, OrderStatus.NEW, OrderStatus.EXPIRED),
        (SelfTradePrevention.REJECT_BOTH, OrderStatus.EXPIRED, OrderStatus.EXPIRED),
        (SelfTradePrevention.ALLOW, OrderStatus.FILLED, OrderStatus.FILLED),
    ],
)
def test_an_account_meets_its_own_order(floor, mode, taker, maker):
    """As self-trade prevention says; nothing stays locked for an order that is gone."""
    inside = floor.engines[SPOT].book.best_price(ASK) - 1
    if inside == floor.engines[SPOT].book.best_price(BID):
        floor.desk.place(SPOT, market(ASK, floor.engines[SPOT].book.quantity(BID, inside)))
    resting = floor.desk.place(SPOT, limit(ASK, inside, 10))
    took = floor.desk.place(SPOT, limit(BID, inside, 10, self_trade_prevention=mode))
    record = floor.accounts.history.record(resting)
    assert (took.status, record.order.status) == (taker, maker)
    open_ids = {order.order_id for order in floor.desk.open_orders(TRADER)}
    assert bool(floor.balance(TRADER, "SOL")[1]) == (resting.order_id in open_ids)
    assert bool(floor.balance(TRADER, "USDC")[1]) == (took.order_id in open_ids)
    if taker is OrderStatus.EXPIRED:
        assert took.expiry_reason is ExpiryReason.SELF_TRADE_PREVENTION
