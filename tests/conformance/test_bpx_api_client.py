"""bpx-api-client of npm, REST and streams, against the venue's own books, ledger and portfolios.

It takes `httpUrl` and `wsUrl`. Every answer is {statusCode, data, error}: it raises nothing.
"""

import json
from decimal import Decimal

import pytest

from backpack_sandbox.constants import TRADER
from tests.conformance.truth import (
    decimal_levels,
    published,
    true_balance,
    true_book,
    true_trades,
)
from tests.support.conditions import eventually


async def open_bpx(node, venue, key_file):
    pair = json.loads(key_file.read_text())
    options = {
        "apiKey": pair["api_key"],
        "apiSecret": pair["private_key"],
        "httpUrl": venue.rest_url,
        "wsUrl": venue.ws_url,
    }
    return await node().open("bpx-api-client", options=options)


@pytest.fixture
async def client(node, venue):
    return await open_bpx(node, venue, venue.trader_api_key_file)


@pytest.fixture
async def streams(node, live_venue):
    """A client with an open socket, which keeps what comes."""
    client = await open_bpx(node, live_venue, live_venue.trader_api_key_file)
    await client.call("streams.open")
    await client.listen("streams.addMessageHandler")
    yield client
    await client.call("streams.close")


async def data(client, path, *args):
    answer = await client.call(path, *args)
    assert (answer["statusCode"], answer["error"]) == (200, {}), answer
    return answer["data"]


async def first_message(client, stream):
    """The payload of the first message of a stream."""

    async def found():
        return [m["data"] for m in await client.messages() if m.get("stream") == stream]

    return (await eventually(found))[0]


def limit(venue, **changes):
    price = str(true_book(venue, "SOL_USDC").best_bid - 1)
    order = {"symbol": "SOL_USDC", "side": "Bid", "orderType": "Limit", "quantity": "1.5"}
    return order | {"price": price, "postOnly": True} | changes


async def test_markets(client, venue):
    """All, and one."""
    markets = await data(client, "markets.getMarkets")
    assert {market["symbol"] for market in markets} == set(venue.catalog)
    assert await data(client, "markets.getMarket", "SOL_USDC") in markets


async def test_depth(client, venue):
    """The whole book."""
    depth = await data(client, "markets.getDepth", "SOL_USDC")
    truth = true_book(venue, "SOL_USDC")
    assert int(depth["lastUpdateId"]) == truth.update_id
    assert decimal_levels(depth["bids"]) == truth.bids
    assert decimal_levels(depth["asks"]) == truth.asks


async def test_trades(client, venue):
    """Newest first, in pages."""
    query = {"symbol": "SOL_USDC", "limit": 20}
    recent = await data(client, "trades.getRecentTrades", query)
    page = {"symbol": "SOL_USDC", "limit": 10, "offset": 10}
    assert await data(client, "trades.getHistoricalTrades", page) == recent[10:]
    truth = true_trades(venue, "SOL_USDC")[:-21:-1]
    assert [(t["id"], Decimal(t["price"])) for t in recent] == [(t.id, t.price) for t in truth]


async def test_klines(client, venue):
    """The minutes of the trades add up."""
    trades = true_trades(venue, "SOL_USDC")
    start = trades[0].time_ms // 60_000 * 60
    query = {"symbol": "SOL_USDC", "interval": "1m", "startTime": start}
    rows = await data(client, "markets.getKlines", query)
    assert sum(Decimal(row["volume"]) for row in rows) == sum(t.quantity for t in trades)


async def test_ticker_and_tickers(client, venue):
    """One among all."""
    ticker = await data(client, "markets.getTicker", {"symbol": "SOL_USDC"})
    assert Decimal(ticker["lastPrice"]) == true_trades(venue, "SOL_USDC")[-1].price
    assert ticker in await data(client, "markets.getTickers")


async def test_mark_price_funding_and_open_interest(client, venue):
    """Of one perpetual."""
    (mark,) = await data(client, "markets.getMarkPrices", "SOL_USDC_PERP")
    book = true_book(venue, "SOL_USDC_PERP")
    tick = venue.catalog["SOL_USDC_PERP"].price_grid.unit
    assert abs(Decimal(mark["markPrice"]) - (book.best_bid + book.best_ask) / 2) <= tick
    (interest,) = await data(client, "markets.getOpenInterest", "SOL_USDC_PERP")
    assert Decimal(interest["openInterest"]) > 0
    query = {"symbol": "SOL_USDC_PERP", "limit": 2}
    assert len(await data(client, "markets.getFundingIntervalRates", query)) <= 2


async def test_service(client):
    """Status as JSON, ping and time as text."""
    assert (await data(client, "system.status"))["status"] == "Ok"
    assert await data(client, "system.ping") == "pong"
    assert int(await data(client, "system.getSystemTime")) > 1_700_000_000_000


async def test_balances(client, venue):
    """Every asset of the account."""
    balances = await data(client, "capital.getBalances")
    for true in venue.accounts[TRADER].balances():
        assert Decimal(balances[true.asset]["available"]) == true.available


async def test_an_order_rests_is_found_and_is_cancelled(client, venue):
    """By its id and by the client's."""
    placed = await data(client, "order.executeOrder", limit(venue, clientId=77))
    assert (placed["status"], placed["clientId"]) == ("New", 77)
    query = {"symbol": "SOL_USDC", "orderId": placed["id"]}
    found = await data(client, "order.getOpenOrder", query)
    assert [found] == await data(client, "order.getOpenOrders", {"symbol": "SOL_USDC"})
    cancelled = await data(client, "order.cancelOpenOrder", query)
    assert (cancelled["id"], cancelled["status"]) == (placed["id"], "Cancelled")
    gone = await client.call("order.getOpenOrder", query)
    assert (gone["statusCode"], gone["error"]["code"]) == (404, "RESOURCE_NOT_FOUND")
    assert true_balance(venue, "USDC") == (Decimal(1_000_000), Decimal(0))


async def test_a_market_order_fills(client, venue):
    """History of orders and of fills agree with the public trades."""
    order = {"symbol": "SOL_USDC", "side": "Bid", "orderType": "Market", "quantity": "0.01"}
    placed = await data(client, "order.executeOrder", order)
    assert placed["status"] == "Filled"
    (fill,) = await data(client, "history.getFillHistory", {"symbol": "SOL_USDC"})
    trade = true_trades(venue, "SOL_USDC")[-1]
    assert (fill["tradeId"], fill["orderId"]) == (trade.id, placed["id"])
    (order,) = await data(client, "history.getOrderHistory", {"symbol": "SOL_USDC"})
    assert (order["id"], order["status"]) == (placed["id"], "Filled")


async def test_a_batch_and_cancel_all(client, venue):
    """One signature over two orders, one of which is refused."""
    orders = [limit(venue), limit(venue, price="1")]
    done, refused = await data(client, "order.executeOrders", orders)
    assert (done["operation"], refused["code"]) == ("Ok", "INVALID_PRICE")
    cancelled = await data(client, "order.cancelOpenOrders", {"symbol": "SOL_USDC"})
    assert [order["id"] for order in cancelled] == [done["id"]]
    assert venue.desk.open_orders(TRADER) == []


async def test_positions(client, venue):
    """Opened by a market order."""
    order = {"symbol": "SOL_USDC_PERP", "side": "Ask", "orderType": "Market", "quantity": "0.5"}
    await data(client, "order.executeOrder", order)
    (position,) = await data(client, "futures.getOpenPositions")
    (true,) = venue.accounts[TRADER].positions()
    assert Decimal(position["netQuantity"]) == true.quantity == Decimal("-0.5")


async def test_refusals(node, client, venue, wrong_key):
    """Its own error object: the venue's code and message, or UNKNOWN_ERROR and the plain text."""
    ask = str(true_book(venue, "SOL_USDC").best_ask)
    taking = await client.call("order.executeOrder", limit(venue, price=ask))
    message = "Order would immediately match and take"
    assert (taking["statusCode"], taking["error"]) == (
        400,
        {"code": "INVALID_ORDER", "message": message},
    )
    poor = await client.call("order.executeOrder", limit(venue, quantity="99999999"))
    assert poor["error"]["code"] == "INSUFFICIENT_FUNDS"
    text = await client.call("order.executeOrder", limit(venue, symbol="NOPE_USDC"))
    assert text["error"]["code"] == "UNKNOWN_ERROR"
    assert text["error"]["message"].startswith("Bad Request")
    stranger = await open_bpx(node, venue, wrong_key)
    refused = await stranger.call("capital.getBalances")
    assert (refused["statusCode"], refused["error"]["code"]) == (400, "INVALID_CLIENT_REQUEST")
    assert venue.desk.open_orders(TRADER) == []


@pytest.mark.parametrize(
    ("method", "args", "stream"),
    [
        ("depth", ["SOL_USDC"], "depth.SOL_USDC"),
        ("trade", ["SOL_USDC"], "trade.SOL_USDC"),
        ("bookTicker", ["SOL_USDC"], "bookTicker.SOL_USDC"),
    ],
)
async def test_public_streams_are_the_ledger(streams, live_venue, method, args, stream):
    """A frame as it was published."""
    await streams.call(f"streams.{method}", "SUBSCRIBE", *args)
    assert await first_message(streams, stream) in published(live_venue, stream)


@pytest.mark.parametrize(
    ("method", "args", "stream", "keys"),
    [
        ("ticker", ["SOL_USDC"], "ticker.SOL_USDC", "EVcehlnosv"),
        ("markPrice", ["SOL_USDC_PERP"], "markPrice.SOL_USDC_PERP", "ETefinps"),
        ("kline", ["1m", "SOL_USDC"], "kline.1m.SOL_USDC", "ETXcehlnostv"),
    ],
)
async def test_derived_streams_arrive(streams, method, args, stream, keys):
    """With the keys of the protocol."""
    await streams.call(f"streams.{method}", "SUBSCRIBE", *args)
    assert "".join(sorted(await first_message(streams, stream))) == keys


async def test_private_streams(streams, live_venue):
    """Signed, by market and for all of them; they tell of an order by REST."""
    await streams.call("streams.orderUpdate", "SUBSCRIBE")
    await streams.call("streams.positionUpdate", "SUBSCRIBE", "SOL_USDC_PERP")
    await streams.call("streams.depth", "SUBSCRIBE", "SOL_USDC")
    await first_message(streams, "depth.SOL_USDC")  # the venue reads one after the other
    order = {"symbol": "SOL_USDC_PERP", "side": "Ask", "orderType": "Market", "quantity": "0.01"}
    placed = await data(streams, "order.executeOrder", order)
    got = []

    async def both():
        got.extend(await streams.messages())
        return {"account.orderUpdate", "account.positionUpdate.SOL_USDC_PERP"} <= {
            message["stream"] for message in got
        }

    await eventually(both)
    orders = [m["data"] for m in got if m["stream"] == "account.orderUpdate"]
    assert orders[0] in published(live_venue, "account.orderUpdate", TRADER)
    assert orders[0]["i"] == placed["id"]


async def test_a_wrong_key_is_told_on_the_socket(node, live_venue, wrong_key):
    """As the venue's frame, which this client hands through."""
    client = await open_bpx(node, live_venue, wrong_key)
    await client.call("streams.open")
    await client.listen("streams.addMessageHandler")
    await client.call("streams.orderUpdate", "SUBSCRIBE")
    (message,) = await eventually(client.messages)
    assert message["error"]["code"] == 4003
    await client.call("streams.close")


async def test_finding_the_history_of_profit_and_loss_is_gone(client):
    """The venue dropped the path on 2025-08-07; the method is still there."""
    answer = await client.call("history.getProfitAndLossHistory", {})
    assert (answer["statusCode"], answer["error"]["message"]) == (404, "404 not found")
