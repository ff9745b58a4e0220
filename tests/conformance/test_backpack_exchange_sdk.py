"""backpack-exchange-sdk over REST, against the venue's own books, ledger and portfolios."""

from decimal import Decimal

import pytest
from backpack_exchange_sdk._base.errors import (
    BackpackAPIError,
    BackpackInsufficientFundsError,
    BackpackInvalidRequestError,
    BackpackNotFoundError,
)

from backpack_sandbox.constants import TRADER
from tests.conformance.sdk_client import account_client, public_client
from tests.conformance.truth import decimal_levels, true_balance, true_book, true_trades


@pytest.fixture
def public(venue):
    client = public_client(venue)
    yield client
    client.close()


@pytest.fixture
def account(venue):
    client = account_client(venue, venue.trader_api_key_file)
    yield client
    client.close()


def limit(venue, **changes):
    """A bid that rests."""
    price = str(true_book(venue, "SOL_USDC").best_bid - 1)
    order = {"orderType": "Limit", "side": "Bid", "symbol": "SOL_USDC", "quantity": "1.5"}
    return order | {"price": price, "postOnly": True} | changes


async def test_markets(public, venue):
    """All, and one."""
    markets = await public.call("get_markets")
    assert {market["symbol"] for market in markets} == set(venue.catalog)
    assert await public.call("get_market", "kPEPE_USDC_PERP") in markets


async def test_assets_and_collateral(public, venue):
    """The bases of the spot markets, and what they count as collateral."""
    assets = {asset["symbol"] for asset in await public.call("get_assets")}
    assert {m.base for m in venue.catalog.values() if m.market_type == "SPOT"} <= assets
    assert {row["symbol"] for row in await public.call("get_collateral")} <= assets


async def test_depth(public, venue):
    """The whole book."""
    depth = await public.call("get_depth", "SOL_USDC_PERP")
    truth = true_book(venue, "SOL_USDC_PERP")
    assert int(depth["lastUpdateId"]) == truth.update_id
    assert decimal_levels(depth["bids"]) == truth.bids
    assert decimal_levels(depth["asks"]) == truth.asks


async def test_trades(public, venue):
    """Newest first, in pages."""
    recent = await public.call("get_recent_trades", "SOL_USDC", 20)
    assert recent[10:] == await public.call("get_historical_trades", "SOL_USDC", 10, 10)
    truth = true_trades(venue, "SOL_USDC")[:-21:-1]
    seen = [(t["id"], Decimal(t["price"]), Decimal(t["quantity"])) for t in recent]
    assert seen == [(t.id, t.price, t.quantity) for t in truth]


async def test_klines(public, venue):
    """The minutes of the trades add up."""
    trades = true_trades(venue, "SOL_USDC")
    rows = await public.call("get_klines", "SOL_USDC", "1m", trades[0].time_ms // 60_000 * 60)
    assert sum(Decimal(row["volume"]) for row in rows) == sum(t.quantity for t in trades)


async def test_ticker_and_tickers(public, venue):
    """Of a day or a week, which here is the same."""
    ticker = await public.call("get_ticker", "SOL_USDC")
    assert Decimal(ticker["lastPrice"]) == true_trades(venue, "SOL_USDC")[-1].price
    assert await public.call("get_ticker", "SOL_USDC", "1w") == ticker
    assert ticker in await public.call("get_tickers")


async def test_nothing_traded_is_no_content(open_venue):
    """204, which this client gives as None."""
    async with open_venue() as venue:
        public = public_client(venue)
        assert await public.call("get_ticker", "SOL_USDC") is None
        public.close()


async def test_mark_price_funding_and_open_interest(public, venue):
    """Of one perpetual."""
    (mark,) = await public.call("get_mark_price", "SOL_USDC_PERP")
    book = true_book(venue, "SOL_USDC_PERP")
    tick = venue.catalog["SOL_USDC_PERP"].price_grid.unit
    assert abs(Decimal(mark["markPrice"]) - (book.best_bid + book.best_ask) / 2) <= tick
    (interest,) = await public.call("get_open_interest", "SOL_USDC_PERP")
    assert Decimal(interest["openInterest"]) > 0
    pages = [
        await public.call("get_funding_interval_rates", "SOL_USDC_PERP", 2, offset)
        for offset in (0, 1)
    ]
    assert pages[0][1:] == pages[1][:1]


async def test_service(public):
    """Status, ping and time; the bare text of the time parses as a number."""
    assert (await public.call("get_status"))["status"] == "Ok"
    assert await public.call("send_ping") == "pong"
    assert await public.call("get_system_time") > 1_700_000_000_000


async def test_balances(account, venue):
    """Every asset of the account."""
    balances = await account.call("get_balances")
    for true in venue.accounts[TRADER].balances():
        assert Decimal(balances[true.asset]["available"]) == true.available
    assert Decimal((await account.call("get_collateral"))["netEquity"]) > 0


async def test_an_order_rests_is_found_and_is_cancelled(account, venue):
    """By its id and by the client's."""
    placed = await account.call("execute_order", **limit(venue, clientId=77))
    assert (placed["status"], placed["clientId"], placed["postOnly"]) == ("New", 77, True)
    found = await account.call("get_users_open_orders", "SOL_USDC", orderId=placed["id"])
    assert found == await account.call("get_users_open_orders", "SOL_USDC", clientId=77)
    assert [found] == await account.call("get_open_orders", "SOL_USDC", "SPOT")
    cancelled = await account.call("cancel_open_order", "SOL_USDC", orderId=placed["id"])
    assert (cancelled["id"], cancelled["status"]) == (placed["id"], "Cancelled")
    with pytest.raises(BackpackNotFoundError):
        await account.call("get_users_open_orders", "SOL_USDC", orderId=placed["id"])
    assert true_balance(venue, "USDC") == (Decimal(1_000_000), Decimal(0))


async def test_a_market_order_fills(account, venue):
    """History of orders and of fills agree with the public trades."""
    placed = await account.call("execute_order", "Market", "Bid", "SOL_USDC", quoteQuantity="200")
    assert placed["status"] == "Filled"
    fills = await account.call("get_fill_history", orderId=placed["id"])
    trades = {trade.id: trade for trade in true_trades(venue, "SOL_USDC")}
    spent = sum(Decimal(fill["price"]) * Decimal(fill["quantity"]) for fill in fills)
    assert spent == Decimal(placed["executedQuoteQuantity"])
    assert all(Decimal(f["quantity"]) == trades[f["tradeId"]].quantity for f in fills)
    (order,) = await account.call("get_order_history", orderId=placed["id"])
    assert (order["status"], order["executedQuantity"]) == ("Filled", placed["executedQuantity"])


async def test_a_batch_and_cancel_all(account, venue):
    """One signature over two orders, one of which is refused."""
    orders = [limit(venue), limit(venue, price="1")]
    done, refused = await account.call("execute_batch_orders", orders)
    assert (done["operation"], refused["operation"]) == ("Ok", "Err")
    assert refused["code"] == "INVALID_PRICE"
    cancelled = await account.call("cancel_open_orders", "SOL_USDC")
    assert [order["id"] for order in cancelled] == [done["id"]]
    assert venue.desk.open_orders(TRADER) == []


async def test_positions(account, venue):
    """Opened by a market order."""
    await account.call("execute_order", "Market", "Ask", "SOL_USDC_PERP", quantity="0.5")
    (position,) = await account.call("get_open_positions")
    (true,) = venue.accounts[TRADER].positions()
    assert Decimal(position["netQuantity"]) == true.quantity == Decimal("-0.5")
    assert Decimal(position["entryPrice"]) == true.entry_price


async def test_history_of_positions(account):
    """One that was closed: its entry, its end and what its fills made."""
    symbol, quantity = "SOL_USDC_PERP", Decimal("0.5")
    opened = await account.call("execute_order", "Market", "Ask", symbol, quantity="0.5")
    closed = await account.call("execute_order", "Market", "Bid", symbol, quantity="0.5")
    (past,) = await account.call("get_position_history", symbol)
    entry, end = (Decimal(o["executedQuoteQuantity"]) / quantity for o in (opened, closed))
    assert (past["symbol"], past["state"]) == (symbol, "Closed")
    assert (Decimal(past["entryPrice"]), Decimal(past["closingPrice"])) == (entry, end)
    fees = sum(Decimal(fill["fee"]) for fill in await account.call("get_fill_history"))
    assert Decimal(past["fees"]) == fees
    assert Decimal(past["cumulativePnlRealized"]) in {
        (entry - end) * quantity,
        (entry - end) * quantity - fees,
    }


async def test_refused_orders_are_of_the_clients_own_classes(account, venue):
    """Each by its code, and none of them leaves a trace."""
    ask = str(true_book(venue, "SOL_USDC").best_ask)
    with pytest.raises(BackpackInvalidRequestError, match="immediately match and take"):
        await account.call("execute_order", **limit(venue, price=ask))
    with pytest.raises(BackpackInsufficientFundsError):
        await account.call("execute_order", **limit(venue, quantity="99999999"))
    with pytest.raises(BackpackInvalidRequestError, match="too far"):
        await account.call("execute_order", **limit(venue, price="1"))
    with pytest.raises(BackpackAPIError) as refused:
        await account.call("execute_order", **limit(venue, symbol="NOPE_USDC"))
    assert (refused.value.status_code, refused.value.code) == (400, None)
    assert refused.value.message.startswith("Bad Request")
    assert venue.desk.open_orders(TRADER) == []


async def test_finding_a_wrong_key_is_an_invalid_request(venue, wrong_key):
    """The venue's code is INVALID_CLIENT_REQUEST, which this client files under bad requests."""
    client = account_client(venue, wrong_key)
    with pytest.raises(BackpackInvalidRequestError):
        await client.call("get_balances")
    client.close()


async def test_finding_post_only_is_lost_beside_a_time_in_force(account, venue):
    """With both given only `timeInForce` is sent, so the order takes what it must not."""
    ask = true_book(venue, "SOL_USDC").best_ask
    order = limit(venue, price=str(ask), quantity="0.01", timeInForce="GTC")
    placed = await account.call("execute_order", **order)
    assert (placed["status"], placed["postOnly"]) == ("Filled", False)


async def test_finding_too_little_margin_has_no_class(account, venue):
    """INSUFFICIENT_MARGIN is not in its table, so the plain class is raised."""
    price = str(true_book(venue, "SOL_USDC_PERP").best_bid - 1)
    order = limit(venue, symbol="SOL_USDC_PERP", price=price, quantity="9999999")
    with pytest.raises(BackpackAPIError, match="INSUFFICIENT_MARGIN") as refused:
        await account.call("execute_order", **order)
    assert type(refused.value) is BackpackAPIError
