"""Orders and fills of an account: newest first, filtered, bounded."""

import pytest

from backpack_sandbox.account import history as history_module
from backpack_sandbox.account.history import OrderHistory
from backpack_sandbox.constants import HOUSE, TRADER
from backpack_sandbox.market.book import Side
from backpack_sandbox.market.catalog import build_catalog
from backpack_sandbox.market.events import Fill, OrderEvent
from backpack_sandbox.market.orders import Order, OrderRequest, OrderStatus

CATALOG = build_catalog()
REQUEST = OrderRequest(account=TRADER, side=Side.BID, price=9800, quantity=10)


def order(number: int, status: OrderStatus, symbol: str = "SOL_USDC") -> Order:
    return Order(symbol, number, REQUEST, status=status)


def accepted(number: int, symbol: str = "SOL_USDC") -> OrderEvent:
    return OrderEvent("orderAccepted", order(number, OrderStatus.NEW, symbol), None)


def filled(number: int, symbol: str = "SOL_USDC") -> OrderEvent:
    fill = Fill(100 + number, 9800, 10, is_maker=True)
    return OrderEvent("orderFill", order(number, OrderStatus.FILLED, symbol), fill)


@pytest.fixture
def history() -> OrderHistory:
    history = OrderHistory(CATALOG, [HOUSE, TRADER])
    for number in (1, 2, 3):
        history.note(accepted(number), number * 1000)
    history.note(accepted(4, "SOL_USDC_PERP"), 4000)
    history.note(filled(4, "SOL_USDC_PERP"), 5000)
    history.note(filled(2), 6000)
    return history


def test_an_order_keeps_its_first_time_and_its_last_state(history):
    """As `createdAt` and the answer to a later query need it."""
    record = history.record(order(2, OrderStatus.NEW))
    assert (record.created_us, record.updated_us) == (2000, 6000)
    assert record.order.status is OrderStatus.FILLED
    with pytest.raises(KeyError):
        history.record(order(99, OrderStatus.NEW))


def test_orders_come_newest_first_and_filtered(history):
    """By market, by type of market and by id; each account has its own."""
    numbers = [r.order.order_id for r in history.orders(TRADER)]
    assert numbers == [4, 3, 2, 1]
    assert [r.order.order_id for r in history.orders(TRADER, symbol="SOL_USDC")] == [3, 2, 1]
    assert [r.order.order_id for r in history.orders(TRADER, market_type="PERP")] == [4]
    assert [r.order.order_id for r in history.orders(TRADER, order_id=3)] == [3]
    assert history.orders(HOUSE) == history.fills(HOUSE) == []


def test_fills_come_newest_first_between_two_times(history):
    """Both ends included, in ms; a spot buyer's fee is in what he bought."""
    assert [f.fill.trade_id for f in history.fills(TRADER)] == [102, 104]
    assert [f.time_us for f in history.fills(TRADER, from_ms=6)] == [6000]
    assert [f.time_us for f in history.fills(TRADER, from_ms=5, to_ms=5)] == [5000]
    assert [f.time_us for f in history.fills(TRADER, order_id=4)] == [5000]
    assert [f.fee_asset for f in history.fills(TRADER)] == ["SOL", "USDC"]


def test_the_memory_is_bounded_but_open_orders_stay(monkeypatch):
    """Whatever the bot does all night."""
    monkeypatch.setattr(history_module, "KEPT", 10)
    history = OrderHistory(CATALOG, [TRADER])
    history.note(accepted(1), 1)
    for number in range(2, 100):
        history.note(accepted(number), number)
        history.note(filled(number), number)
    kept = [record.order.order_id for record in history.orders(TRADER)]
    assert len(kept) <= 10 + len({1})  # what ended, and what is open
    assert kept[0] == 99
    assert kept[-1] == 1
    assert history.record(order(1, OrderStatus.NEW)).created_us == 1
