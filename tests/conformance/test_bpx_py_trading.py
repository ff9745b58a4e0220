"""Orders, positions and history through bpx-py, blocking and asyncio."""

from decimal import Decimal

import pytest

from backpack_sandbox.constants import TRADER
from tests.conformance.bpx_py_client import account_client
from tests.conformance.truth import true_balance, true_book, true_trades


@pytest.fixture(params=["blocking", "asyncio"])
def account(request, venue):
    return account_client(request.param, venue, venue.trader_api_key_file)


def resting_price(venue, symbol="SOL_USDC"):
    return str(true_book(venue, symbol).best_bid - 1)


async def place(account, symbol="SOL_USDC", **order):
    return await account.call(
        "execute_order", symbol, **({"side": "Bid", "order_type": "Limit"} | order)
    )


async def test_balances_and_collateral(account, venue):
    """Every asset of the account."""
    balances = await account.call("get_balances")
    for true in venue.accounts[TRADER].balances():
        assert Decimal(balances[true.asset]["available"]) == true.available
        assert Decimal(balances[true.asset]["locked"]) == true.locked
    collateral = await account.call("get_collateral")
    assert Decimal(collateral["netEquity"]) > 0
    assert Decimal((await account.call("get_account"))["leverageLimit"]) > 0


async def test_an_order_rests_is_found_and_is_cancelled(account, venue):
    """By its id and by the client's."""
    price = resting_price(venue)
    placed = await place(account, quantity="1.5", price=price, time_in_force="GTC", client_id=77)
    assert (placed["status"], placed["clientId"], placed["price"]) == ("New", 77, price)
    assert [order["id"] for order in await account.call("get_open_orders", symbol="SOL_USDC")] == [
        placed["id"]
    ]
    by_id = await account.call("get_open_order", "SOL_USDC", placed["id"])
    by_client_id = await account.call("get_open_order", "SOL_USDC", client_id=77)
    assert by_id == by_client_id
    assert (by_id["id"], by_id["quantity"]) == (placed["id"], "1.5")
    cancelled = await account.call("cancel_order", "SOL_USDC", placed["id"])
    assert (cancelled["id"], cancelled["status"]) == (placed["id"], "Cancelled")
    assert await account.call("get_open_orders", "SPOT") == []
    assert true_balance(venue, "USDC") == (Decimal(1_000_000), Decimal(0))


async def test_post_only(account, venue):
    """Refused as an answer, since this client raises nothing."""
    ask = str(true_book(venue, "SOL_USDC").best_ask)
    refused = await place(account, quantity="1", price=ask, post_only=True)
    assert refused == {
        "code": "INVALID_ORDER",
        "message": "Order would immediately match and take",
    }
    placed = await place(account, quantity="1", price=resting_price(venue), post_only=True)
    assert (placed["status"], placed["postOnly"]) == ("New", True)


async def test_a_market_order_fills(account, venue):
    """History of orders and of fills agree with the public trades."""
    ask = true_book(venue, "SOL_USDC").best_ask
    placed = await place(account, order_type="Market", quantity="0.01")
    assert (placed["status"], placed["executedQuantity"]) == ("Filled", "0.01")
    assert Decimal(placed["executedQuoteQuantity"]) == ask * Decimal("0.01")
    (fill,) = await account.call("get_fill_history", "SOL_USDC")
    trade = true_trades(venue, "SOL_USDC")[-1]
    assert (fill["tradeId"], Decimal(fill["price"])) == (trade.id, trade.price)
    assert (fill["orderId"], fill["isMaker"]) == (placed["id"], False)
    (order,) = await account.call("get_order_history", "SOL_USDC")
    assert (order["id"], order["status"]) == (placed["id"], "Filled")


async def test_cancel_all(account, venue):
    """Of one market."""
    price = Decimal(resting_price(venue))
    placed = [
        await place(account, quantity="1", price=str(price - i), post_only=True) for i in (0, 1)
    ]
    cancelled = await account.call("cancel_all_orders", "SOL_USDC")
    assert {order["id"] for order in cancelled} == {order["id"] for order in placed}
    assert venue.desk.open_orders(TRADER) == []


async def test_positions(account, venue):
    """Opened by a market order."""
    placed = await place(account, "SOL_USDC_PERP", side="Ask", order_type="Market", quantity="0.5")
    (position,) = await account.call("get_open_positions")
    assert (position["symbol"], position["netQuantity"]) == ("SOL_USDC_PERP", "-0.5")
    entry = Decimal(placed["executedQuoteQuantity"]) / Decimal("0.5")
    assert Decimal(position["entryPrice"]) == entry


async def test_what_never_happened_is_empty(account):
    """Histories of what nobody did."""
    for method in (
        "get_deposits",
        "get_withdrawals",
        "get_borrow_history",
        "get_interest_history",
        "get_funding_payments",
        "get_borrow_lend_positions",
    ):
        assert await account.call(method) == []


async def test_refusals_are_answers_with_the_venues_code(account, venue):
    """Funds, price and payload."""
    price = resting_price(venue)
    assert (await place(account, quantity="99999999", price=price))["code"] == "INSUFFICIENT_FUNDS"
    assert (await place(account, quantity="1", price="1"))["code"] == "INVALID_PRICE"
    text = await place(account, "NOPE_USDC", quantity="1", price=price)
    assert isinstance(text, str)
    assert text.startswith("Bad Request")
    assert venue.desk.open_orders(TRADER) == []


async def test_finding_the_history_of_profit_and_loss_is_gone(account):
    """The venue dropped the path on 2025-08-07; the method is still there."""
    assert await account.call("get_profit_and_loss_history") == "404 not found"
