"""A kill or a full disk may tear the last write at any line: what is left of the act is undone."""

from pathlib import Path

import pytest

from backpack_sandbox.constants import HOUSE, TRADER
from backpack_sandbox.market.book import Side
from backpack_sandbox.market.orders import Order, TimeInForce
from backpack_sandbox.truth.recovery import recover
from tests.support.trading_floor import CATALOG, SPOT, TradingFloor, limit, market


def maker_is_eaten(floor: TradingFloor) -> None:
    """The trader's ask is the best, and the house buys it and more."""
    floor.desk.place(SPOT, limit(Side.ASK, ask_inside(floor), 40))
    floor.desk.place(SPOT, market(Side.BID, 5_000, account=HOUSE))


def taker_rests(floor: TradingFloor) -> None:
    """A bid eats the best ask, and the rest of it is accepted."""
    top = floor.engines[SPOT].book.best_price(Side.ASK)
    there = floor.engines[SPOT].book.quantity(Side.ASK, top)
    floor.desk.place(SPOT, limit(Side.BID, top, there + 70))


def taker_expires(floor: TradingFloor) -> None:
    """As before, but what is left over may not rest."""
    top = floor.engines[SPOT].book.best_price(Side.ASK)
    there = floor.engines[SPOT].book.quantity(Side.ASK, top)
    floor.desk.place(SPOT, limit(Side.BID, top, there + 70, time_in_force=TimeInForce.IOC))


def order_is_cancelled(floor: TradingFloor) -> None:
    order = floor.desk.place(SPOT, limit(Side.ASK, ask_inside(floor), 40))
    floor.desk.cancel(TRADER, SPOT, order_id=order.order_id, client_id=None)


def ask_inside(floor: TradingFloor) -> int:
    """The best price that an ask can have without a match."""
    return (floor.engines[SPOT].book.best_price(Side.BID) or 0) + 1


def locked(orders: list[Order]) -> dict[str, object]:
    """What open spot orders must have locked, by asset."""
    total: dict[str, object] = {}
    for order in orders:
        market_, request = CATALOG[order.symbol], order.request
        amount = market_.quantity_grid.value(order.remaining)
        asset = market_.base
        if request.side is Side.BID:
            asset, amount = market_.quote, amount * market_.price_grid.value(request.price)
        total[asset] = total.get(asset, 0) + amount
    return total


@pytest.mark.parametrize("act", [maker_is_eaten, taker_rests, taker_expires, order_is_cancelled])
def test_a_ledger_that_ends_within_an_act_starts_a_venue_that_adds_up(tmp_path, act):
    """Cut before each of its lines: open orders, locks, history and books agree again."""
    floor = TradingFloor(tmp_path / make(tmp_path, "first"))
    floor.advance(2)
    begun = floor.ledger.size_bytes
    act(floor)
    floor.close()
    content = floor.path.read_bytes()
    ends = [begun + i + 1 for i, byte in enumerate(content[begun:]) if byte == ord("\n")]
    assert len(ends) > 3
    for number, end in enumerate([begun, *ends]):
        folder = tmp_path / make(tmp_path, str(number))
        (folder / "ledger.jsonl").write_bytes(content[:end] + b'{"torn')
        again = TradingFloor(folder)
        for account in (HOUSE, TRADER):
            orders = again.desk.open_orders(account)
            spot = [o for o in orders if CATALOG[o.symbol].market_type == "SPOT"]
            held = {b.asset: b.locked for b in again.accounts[account].balances() if b.locked}
            assert held == locked(spot)
            known = again.accounts.history.orders(account)
            assert {r.order.order_id for r in known if r.order.is_open} == {
                order.order_id for order in orders
            }
        again.advance(1)
        again.close()
        before = list(again.accounts[TRADER].balances())
        assert list(recover(again.path, CATALOG).accounts[TRADER].balances()) == before


def make(tmp_path: Path, name: str) -> str:
    (tmp_path / name).mkdir()
    return name
