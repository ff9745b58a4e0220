"""Orders over signed REST: what is placed, what it becomes, and what the sockets say of it."""

import asyncio
import json
from decimal import Decimal

import pytest

from backpack_sandbox import Sandbox
from backpack_sandbox.market.book import Side
from tests.support.backpack_fixtures import load_fixture
from tests.support.conditions import eventually
from tests.support.sandbox_client import (
    SignedClient,
    running_venue,
    signed_client,
    wire_client,
)

RECORDED = {x["name"]: x for x in load_fixture("rest")["exchanges"]}
SYMBOL = "SOL_USDC"
PERP = "SOL_USDC_PERP"
MARKET_KEYS = (RECORDED["order_created"]["json"].keys() - {"price", "postOnly"}) | {"quoteQuantity"}


@pytest.fixture
async def venue(tmp_path):
    async with running_venue(tmp_path, taker_delay_seconds=0.0) as venue:
        venue.advance(5)
        yield venue


@pytest.fixture
async def trader(venue):
    async with signed_client(venue) as client:
        yield client


def best(venue: Sandbox, symbol: str, side: Side) -> Decimal:
    engine = venue.exchange.engines[symbol]
    return engine.market.price_grid.value(engine.book.best_price(side))


def away(venue: Sandbox, symbol: str = SYMBOL) -> str:
    """A bid price that rests well below the market, within the band."""
    price = best(venue, symbol, Side.BID) * Decimal("0.9")
    return str(price.quantize(Decimal("0.01")))


def bid(venue: Sandbox, **changes: object) -> dict[str, object]:
    """A post-only bid that rests."""
    order = {
        "symbol": SYMBOL,
        "side": "Bid",
        "orderType": "Limit",
        "price": away(venue),
        "quantity": "2",
        "postOnly": True,
    }
    return {name: value for name, value in (order | changes).items() if value is not None}


async def capital(client: SignedClient) -> dict[str, dict[str, str]]:
    return (await client.get("/api/v1/capital", "balanceQuery")).json


async def test_a_resting_order_has_the_recorded_shape(venue, trader):
    """Every key of the recorded answer, with its types and nulls."""
    answer = await trader.place(**bid(venue))
    recorded = RECORDED["order_created"]["json"]
    assert answer.status == 200
    assert list(answer.json) == list(recorded)
    assert {k: type(v) for k, v in answer.json.items()} == {k: type(v) for k, v in recorded.items()}
    assert answer.json["status"] == "New"
    assert answer.headers["Content-Type"] == "application/json; charset=utf-8"
    row = venue.exchange.engines[SYMBOL]
    assert row.resting(int(answer.json["id"])) is not None


async def test_an_order_is_found_while_it_is_open_and_not_after(venue, trader):
    """By either id and in the list; once cancelled it is 404 and Cancelled in the history."""
    placed = (await trader.place(**bid(venue, clientId=7))).json
    for ids in ({"orderId": placed["id"]}, {"clientId": 7}):
        found = await trader.get("/api/v1/order", "orderQuery", symbol=SYMBOL, **ids)
        assert found.json == placed | {"systemOrderType": None}
    listed = await trader.get("/api/v1/orders", "orderQueryAll", symbol=SYMBOL)
    assert [row["id"] for row in listed.json] == [placed["id"]]
    gone = await trader.send(
        "DELETE", "/api/v1/order", "orderCancel", {"symbol": SYMBOL, "orderId": placed["id"]}
    )
    assert gone.status == 200
    assert gone.json == placed | {"status": "Cancelled"}
    for answer in (
        await trader.get("/api/v1/order", "orderQuery", symbol=SYMBOL, orderId=placed["id"]),
        await trader.send(
            "DELETE", "/api/v1/order", "orderCancel", {"symbol": SYMBOL, "orderId": placed["id"]}
        ),
    ):
        assert answer.status == 404
        assert answer.json == {"code": "RESOURCE_NOT_FOUND", "message": "Not Found"}
    history = await trader.get("/wapi/v1/history/orders", "orderHistoryQueryAll", symbol=SYMBOL)
    assert [(row["id"], row["status"]) for row in history.json] == [(placed["id"], "Cancelled")]


async def test_a_client_id_as_text_cancels_too(venue, trader):
    """One Python client sends it so."""
    await trader.place(**bid(venue, clientId=9))
    gone = await trader.send(
        "DELETE", "/api/v1/order", "orderCancel", {"symbol": SYMBOL, "clientId": "9"}
    )
    assert (gone.status, gone.json["clientId"]) == (200, 9)


async def test_an_order_locks_what_it_would_pay(venue, trader):
    """Capital, before, during and after."""
    before = await capital(trader)
    placed = (await trader.place(**bid(venue))).json
    cost = Decimal(placed["price"]) * Decimal(placed["quantity"])
    during = await capital(trader)
    assert Decimal(during["USDC"]["locked"]) == cost
    assert Decimal(during["USDC"]["available"]) == Decimal(before["USDC"]["available"]) - cost
    await trader.send("DELETE", "/api/v1/orders", "orderCancelAll", {"symbol": SYMBOL})
    assert await capital(trader) == before


async def test_a_market_order_fills_and_everything_agrees(venue, trader):
    """Answer, fills, balances, public trades and the order stream tell the same story."""
    before = await capital(trader)
    async with wire_client(venue, account="trader") as wire:
        await wire.subscribe("account.orderUpdate", signature=wire.signature())
        await wire.subscribe(f"trade.{SYMBOL}")
        await wire.drain()
        answer = await trader.place(symbol=SYMBOL, side="Bid", orderType="Market", quantity="1.5")
        frames = [json.loads(frame) for frame in await wire.drain()]
    order = answer.json
    assert order.keys() == MARKET_KEYS
    assert (order["status"], order["executedQuantity"]) == ("Filled", "1.5")
    fills = (
        await trader.get("/wapi/v1/history/fills", "fillHistoryQueryAll", orderId=order["id"])
    ).json
    assert fills[0].keys() == RECORDED["fills"]["json"][0].keys()
    traded = {f["data"]["t"]: f["data"] for f in frames if f["stream"] == f"trade.{SYMBOL}"}
    updates = [f["data"] for f in frames if f["stream"] == "account.orderUpdate"]
    assert {u["t"] for u in updates} == {f["tradeId"] for f in fills} == traded.keys()
    for fill in fills:
        trade = traded[fill["tradeId"]]
        assert Decimal(trade["p"]) == Decimal(fill["price"])
        assert Decimal(trade["q"]) == Decimal(fill["quantity"])
    cost = sum(Decimal(f["price"]) * Decimal(f["quantity"]) for f in fills)
    assert Decimal(order["executedQuoteQuantity"]) == cost
    after = await capital(trader)
    fees = sum(Decimal(f["fee"]) for f in fills)
    assert {f["feeSymbol"] for f in fills} == {"SOL"}
    spent = Decimal(before["USDC"]["available"]) - Decimal(after["USDC"]["available"])
    gained = Decimal(after["SOL"]["available"]) - Decimal(before["SOL"]["available"])
    assert (spent, gained) == (cost, Decimal("1.5") - fees)


async def test_a_market_order_by_quote_quantity_says_what_it_came_to(venue, trader):
    """The quantity is what was bought, never for more than was given."""
    order = (
        await trader.place(symbol=SYMBOL, side="Bid", orderType="Market", quoteQuantity="500.5")
    ).json
    assert order["quoteQuantity"] == "500.5"
    assert order["quantity"] == order["executedQuantity"]
    price = best(venue, SYMBOL, Side.ASK)
    assert 0 <= Decimal("500.5") - Decimal(order["executedQuoteQuantity"]) < price


async def test_a_perpetual_makes_a_position_and_its_history(venue, trader):
    """Opened, turned round, closed: position, position history and settlements add up."""
    for side, quantity in (("Bid", "2"), ("Ask", "3"), ("Bid", "1")):
        await trader.place(symbol=PERP, side=side, orderType="Market", quantity=quantity)
        open_now = (await trader.get("/api/v1/position", "positionQuery")).json
        if open_now:
            assert open_now[0].keys() == RECORDED["positions"]["json"][0].keys()
    assert open_now == []
    history = (await trader.get("/wapi/v1/history/position", "positionHistoryQueryAll")).json
    assert [row["state"] for row in history] == ["Closed", "Closed"]
    settled = (await trader.get("/wapi/v1/history/settlement", "settlementHistoryQueryAll")).json
    change = sum(Decimal(row["quoteQuantity"]) for row in settled)
    parts = sum(Decimal(r["cumulativePnlRealized"]) - Decimal(r["fees"]) for r in history)
    owned = Decimal((await capital(trader))["USDC"]["available"])
    assert owned - Decimal(1_000_000) == change == parts


async def test_a_post_only_order_that_would_take_is_refused(venue, trader):
    """As recorded, and without an order id."""
    price = str(best(venue, SYMBOL, Side.ASK))
    answer = await trader.place(**bid(venue, price=price))
    assert answer.status == 400
    assert answer.json == RECORDED["order_would_take"]["json"]
    assert (await trader.get("/wapi/v1/history/orders", "orderHistoryQueryAll")).json == []


@pytest.mark.parametrize(
    ("changes", "code", "message"),
    [
        ({"price": "0.01"}, "INVALID_PRICE", "Price is too far from the last active price"),
        ({"price": "90.001"}, "INVALID_CLIENT_REQUEST", "Price decimal too long"),
        ({"quantity": "1.001"}, "INVALID_CLIENT_REQUEST", "Quantity decimal too long"),
        (
            {"quantity": "0.001"},
            "INVALID_QUANTITY",
            "Quantity is below the minimum allowed value",
        ),
        ({"quantity": "9" * 28}, "INSUFFICIENT_FUNDS", "Insufficient funds"),
        ({"quantity": "999999"}, "INSUFFICIENT_FUNDS", "Insufficient funds"),
        ({"triggerPrice": "1"}, "NOT_IMPLEMENTED", "The sandbox does not model `triggerPrice`"),
        (
            {"orderType": "Market", "price": None, "quantity": None, "postOnly": None},
            "INVALID_CLIENT_REQUEST",
            "Market orders must specify a positive `quantity`",
        ),
    ],
)
async def test_an_order_that_cannot_be_is_refused_in_json(venue, trader, changes, code, message):
    """Nothing is locked, nothing is in the history."""
    before = await capital(trader)
    answer = await trader.place(**bid(venue, **changes))
    assert answer.status == (501 if code == "NOT_IMPLEMENTED" else 400)
    assert answer.json == {"code": code, "message": message}
    assert await capital(trader) == before


async def test_a_batch_answers_each_order_for_itself(venue, trader):
    """HTTP 200; what was refused says why; the order of the items is that of the request."""
    orders = [
        bid(venue),
        bid(venue, quantity="999999"),
        bid(venue, postOnly=False, clientId=3),
    ]
    answer = await trader.send("POST", "/api/v1/orders", "orderExecute", orders)
    assert answer.status == 200
    first, second, third = answer.json
    assert list(first) == list(RECORDED["batch_mixed"]["json"][0])
    assert second == RECORDED["batch_mixed"]["json"][1]
    assert (third["clientId"], third["operation"]) == (3, "Ok")


async def test_cancelling_all_leaves_other_markets_alone(venue, trader):
    """Only the symbol that is named."""
    for symbol in (SYMBOL, SYMBOL, PERP):
        await trader.place(**bid(venue, symbol=symbol, price=away(venue, symbol)))
    gone = await trader.send("DELETE", "/api/v1/orders", "orderCancelAll", {"symbol": SYMBOL})
    assert [row["status"] for row in gone.json] == ["Cancelled", "Cancelled"]
    left = (await trader.get("/api/v1/orders", "orderQueryAll")).json
    assert [row["symbol"] for row in left] == [PERP]
    spot = (await trader.get("/api/v1/orders", "orderQueryAll", marketType="SPOT")).json
    assert spot == []


async def test_one_account_knows_nothing_of_the_other(venue, trader):
    """The house's key neither finds, lists nor cancels the trader's order."""
    placed = (await trader.place(**bid(venue))).json
    async with signed_client(venue, "house") as house:
        ids = {"symbol": SYMBOL, "orderId": placed["id"]}
        assert (await house.get("/api/v1/order", "orderQuery", **ids)).status == 404
        assert (await house.send("DELETE", "/api/v1/order", "orderCancel", ids)).status == 404
        rows = (await house.get("/api/v1/orders", "orderQueryAll")).json
        assert placed["id"] not in {row["id"] for row in rows}
    assert (await trader.get("/api/v1/order", "orderQuery", **ids)).status == 200


async def test_an_order_that_may_take_waits_and_a_post_only_one_does_not(tmp_path):
    """The speed bump, seen from the book: nothing is there before the delay is over."""
    async with (
        running_venue(tmp_path, taker_delay_seconds=30.0) as venue,
        signed_client(venue) as trader,
    ):
        venue.advance(5)
        slow = asyncio.create_task(trader.place(**bid(venue, postOnly=None)))
        quick = await trader.place(**bid(venue))
        assert quick.json["status"] == "New"
        listed = (await trader.get("/api/v1/orders", "orderQueryAll")).json
        assert [row["id"] for row in listed] == [quick.json["id"]]
        assert not slow.done()
        slow.cancel()


async def test_a_cancel_that_is_only_accepted_happens_later(tmp_path):
    """202 without a body, as recorded; the order goes shortly after."""
    async with (
        running_venue(tmp_path, taker_delay_seconds=0.05, cancel_accepted=True) as venue,
        signed_client(venue) as trader,
    ):
        venue.advance(5)
        placed = (await trader.place(**bid(venue))).json
        ids = {"symbol": SYMBOL, "orderId": placed["id"]}
        accepted = await trader.send("DELETE", "/api/v1/order", "orderCancel", ids)
        recorded = RECORDED["order_cancel_accepted"]
        assert (accepted.status, accepted.text) == (recorded["status"], recorded["text"])
        assert accepted.headers["Content-Type"] == recorded["headers"]["Content-Type"]
        engine = venue.exchange.engines[SYMBOL]
        await eventually(lambda: engine.resting(int(placed["id"])) is None)


async def test_the_most_that_can_be_ordered_can_be_and_no_step_more(venue, trader):
    """The limit is the desk's own."""
    price = away(venue)
    limit = await trader.get(
        "/api/v1/account/limits/order", "maxOrderQuantity", symbol=SYMBOL, side="Bid", price=price
    )
    most = Decimal(limit.json["maxOrderQuantity"])
    over = await trader.place(**bid(venue, price=price, quantity=str(most + Decimal("0.01"))))
    assert over.json["code"] == "INSUFFICIENT_FUNDS"
    assert (await trader.place(**bid(venue, price=price, quantity=str(most)))).status == 200


async def test_a_fill_or_kill_that_cannot_be_filled_expires_untouched(venue, trader):
    """It gets an id and an end, and nothing traded."""
    engine = venue.exchange.engines[SYMBOL]
    last_trade = engine.last_trade_id
    order = (
        await trader.place(
            symbol=SYMBOL,
            side="Bid",
            orderType="Limit",
            price=str(best(venue, SYMBOL, Side.ASK)),
            quantity="9000",
            timeInForce="FOK",
        )
    ).json
    assert (order["status"], order["executedQuantity"]) == ("Expired", "0")
    history = (await trader.get("/wapi/v1/history/orders", "orderHistoryQueryAll")).json
    assert history[0]["expiryReason"] == "FillOrKill"
    assert engine.last_trade_id == last_trade


async def test_an_account_does_not_trade_with_itself(venue, trader):
    """A taker that meets the own resting order expires; the resting order stays."""
    ask = best(venue, SYMBOL, Side.ASK)
    inside = str(ask - Decimal("0.01"))
    resting = (await trader.place(**bid(venue, side="Ask", price=inside))).json
    taker = (await trader.place(**bid(venue, price=inside, postOnly=None))).json
    assert (taker["status"], taker["executedQuantity"]) == ("Expired", "0")
    rows = (await trader.get("/api/v1/orders", "orderQueryAll")).json
    assert [row["id"] for row in rows] == [resting["id"]]
    maker_goes = await trader.place(
        **bid(venue, price=inside, postOnly=None, selfTradePrevention="RejectMaker")
    )
    assert maker_goes.json["status"] == "New"
    gone = (await trader.get("/wapi/v1/history/orders", "orderHistoryQueryAll")).json
    reasons = {row["id"]: row["expiryReason"] for row in gone}
    assert reasons[resting["id"]] == reasons[taker["id"]] == "SelfTradePrevention"


async def test_a_reduce_only_order_is_cut_to_the_position(venue, trader):
    """And refused when there is nothing to reduce."""
    reduce = {"symbol": PERP, "side": "Ask", "orderType": "Market", "reduceOnly": True}
    refused = await trader.place(**reduce, quantity="1")
    assert (refused.status, refused.json["code"]) == (400, "INVALID_ORDER")
    await trader.place(symbol=PERP, side="Bid", orderType="Market", quantity="1")
    cut = (await trader.place(**reduce, quantity="5")).json
    assert (cut["reduceOnly"], cut["executedQuantity"]) == (True, "1")
    assert (await trader.get("/api/v1/position", "positionQuery")).json == []
