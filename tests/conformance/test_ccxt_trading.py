"""Signed REST through ccxt in its three builds: what it is told is what the venue holds."""

import asyncio
from decimal import Decimal

import pytest

from backpack_sandbox.constants import TRADER
from tests.conformance.ccxt_clients import key_options
from tests.conformance.refusals import RefusedError
from tests.conformance.truth import published, true_balance, true_book, true_trades

SPOT, PERP = "SOL/USDC", "SOL/USDC:USDC"


def number(value) -> Decimal:
    return Decimal(str(value))


@pytest.fixture
async def client(build, venue, open_client):
    """A ccxt with the key of the trader."""
    return await open_client(build, venue, **key_options(venue.trader_api_key_file))


@pytest.fixture
def prices(venue):
    """(a bid far enough to rest, the best ask) of the spot market, as ccxt takes them."""
    book = true_book(venue, "SOL_USDC")
    return float(book.best_bid - 1), float(book.best_ask)


def order_events(venue):
    return [frame["e"] for frame in published(venue, "account.orderUpdate", TRADER)]


async def test_balances(client, venue):
    """Every asset, free and used."""
    balance = await client.call("fetch_balance")
    for true in venue.accounts[TRADER].balances():
        assert number(balance[true.asset]["free"]) == true.available
        assert number(balance[true.asset]["used"]) == true.locked
    assert number(balance["USDC"]["free"]) == 1_000_000


async def test_a_limit_order_rests_is_found_and_is_cancelled(client, venue, prices):
    """In the book, in the open orders, by its id; then in none of them, and its money is free."""
    price, _ = prices
    before = true_book(venue, "SOL_USDC").bids.get(number(price), Decimal(0))
    placed = await client.call(
        "create_order", SPOT, "limit", "buy", 1.5, price, {"clientOrderId": 77}
    )
    assert (placed["status"], placed["side"], placed["type"]) == ("open", "buy", "limit")
    assert (number(placed["price"]), number(placed["amount"])) == (number(price), Decimal("1.5"))
    assert placed["clientOrderId"] == "77"
    assert true_book(venue, "SOL_USDC").bids[number(price)] == before + Decimal("1.5")
    assert true_balance(venue, "USDC")[1] >= number(price) * Decimal("1.5")
    balance = (await client.call("fetch_balance"))["USDC"]
    assert (number(balance["free"]), number(balance["used"])) == true_balance(venue, "USDC")

    (listed,) = await client.call("fetch_open_orders", SPOT)
    found = await client.call("fetch_open_order", placed["id"], SPOT)
    (recorded,) = await client.call("fetch_orders", SPOT)
    for seen in (listed, found, recorded):
        same = ("id", "symbol", "price", "amount", "filled", "status", "side", "timestamp")
        assert {key: seen[key] for key in same} == {key: placed[key] for key in same}

    cancelled = await client.call("cancel_order", placed["id"], SPOT)
    assert (cancelled["id"], cancelled["status"]) == (placed["id"], "canceled")
    assert await client.call("fetch_open_orders", SPOT) == []
    assert true_book(venue, "SOL_USDC").bids.get(number(price), Decimal(0)) == before
    assert true_balance(venue, "USDC") == (Decimal(1_000_000), Decimal(0))
    assert order_events(venue) == ["orderAccepted", "orderCancelled"]


async def test_post_only(client, venue, prices):
    """Rests where it would not take, and is refused where it would."""
    price, ask = prices
    placed = await client.call("create_order", SPOT, "limit", "buy", 1, price, {"postOnly": True})
    assert (placed["status"], placed["postOnly"]) == ("open", True)
    with pytest.raises(RefusedError, match="Order would immediately match and take") as refused:
        await client.call("create_order", SPOT, "limit", "buy", 1, ask, {"postOnly": True})
    assert refused.value.kinds[0] == "InvalidOrder"
    assert order_events(venue) == ["orderAccepted"]


async def test_a_market_order_takes_the_best_levels(client, venue):
    """At the prices of the book before it; fills, fees and balances agree to the last digit."""
    before = true_book(venue, "SOL_USDC")
    (best, size), (second, _) = sorted(before.asks.items())[:2]
    amount = size + Decimal("0.01")
    owned = true_balance(venue, "SOL")[0]
    placed = await client.call("create_order", SPOT, "market", "buy", float(amount))
    cost = best * size + second * Decimal("0.01")
    assert (placed["status"], number(placed["filled"])) == ("closed", amount)
    assert number(placed["cost"]) == cost
    assert best not in true_book(venue, "SOL_USDC").asks

    fills = await client.call("fetch_my_trades", SPOT)
    public = {trade.id: trade for trade in true_trades(venue, "SOL_USDC")}
    for fill in fills:
        trade = public[int(fill["id"])]
        assert (number(fill["price"]), number(fill["amount"])) == (trade.price, trade.quantity)
        assert (fill["side"], fill["takerOrMaker"], trade.side) == ("buy", "taker", "buy")
        assert fill["order"] == placed["id"]
    assert sum(number(fill["amount"]) for fill in fills) == amount

    balance = await client.call("fetch_balance")
    fees = sum(number(fill["fee"]["cost"]) for fill in fills)
    assert {fill["fee"]["currency"] for fill in fills} == {"SOL"}
    assert number(balance["USDC"]["free"]) == 1_000_000 - cost
    assert number(balance["SOL"]["free"]) == owned + amount - fees
    assert number(balance["SOL"]["free"]) == true_balance(venue, "SOL")[0]


async def test_a_market_order_of_a_cost(client, venue):
    """Spends what it may in whole steps, and no more."""
    placed = await client.call("create_order", SPOT, "market", "buy", 1, None, {"cost": 200})
    step_cost = true_book(venue, "SOL_USDC").best_ask * Decimal("0.01")
    assert placed["status"] == "closed"
    assert 200 - 2 * step_cost < number(placed["cost"]) <= 200
    assert true_balance(venue, "USDC")[0] == 1_000_000 - number(placed["cost"])


async def test_immediate_or_cancel_leaves_nothing(client, venue, prices):
    """What does not fill at once is gone."""
    price, _ = prices
    placed = await client.call(
        "create_order", SPOT, "limit", "buy", 1, price, {"timeInForce": "IOC"}
    )
    assert placed["status"] != "open"
    assert await client.call("fetch_open_orders", SPOT) == []
    assert true_balance(venue, "USDC") == (Decimal(1_000_000), Decimal(0))


async def test_cancel_all_ends_the_orders_of_one_market(client, venue, prices):
    """And leaves the other market's alone."""
    price, _ = prices
    kept = await client.call("create_order", PERP, "limit", "buy", 1, price - 2, {"postOnly": True})
    placed = [
        await client.call("create_order", SPOT, "limit", "buy", 1, price - i, {"postOnly": True})
        for i in range(3)
    ]
    cancelled = await client.call("cancel_all_orders", SPOT)
    assert {order["id"] for order in cancelled} == {order["id"] for order in placed}
    assert {order["status"] for order in cancelled} == {"canceled"}
    assert [order["id"] for order in await client.call("fetch_open_orders")] == [kept["id"]]
    assert order_events(venue).count("orderCancelled") == 3


async def test_a_batch_places_what_it_can(client, venue, prices):
    """One of two is refused, the other one rests."""
    price, _ = prices
    orders = [
        {"symbol": SPOT, "type": "limit", "side": "buy", "amount": 1, "price": price},
        {"symbol": SPOT, "type": "limit", "side": "buy", "amount": 1, "price": price / 10},
    ]
    results = await client.call("create_orders", orders)
    by_code = {order["info"].get("code"): order for order in results}
    assert set(by_code) == {None, "INVALID_PRICE"}
    (resting,) = await client.call("fetch_open_orders", SPOT)
    assert resting["id"] == by_code[None]["id"]
    assert len(venue.desk.open_orders(TRADER)) == 1


async def test_history_of_orders(client, prices):
    """Each with its end, oldest first as ccxt sorts them."""
    price, _ = prices
    first = await client.call("create_order", SPOT, "limit", "buy", 1, price, {"postOnly": True})
    await client.call("cancel_order", first["id"], SPOT)
    second = await client.call("create_order", SPOT, "market", "sell", 0.5)
    third = await client.call("create_order", SPOT, "limit", "buy", 1, price, {"postOnly": True})
    history = await client.call("fetch_orders", SPOT)
    assert [(order["id"], order["status"]) for order in history] == [
        (first["id"], "canceled"),
        (second["id"], "closed"),
        (third["id"], "open"),
    ]
    assert number(history[1]["filled"]) == Decimal("0.5")


async def test_positions(client, venue):
    """Opened short by a market order, with the fill for its entry; closed by another one."""
    placed = await client.call("create_order", PERP, "market", "sell", 0.5)
    (position,) = await client.call("fetch_positions")
    (true,) = venue.accounts[TRADER].positions()
    assert (true.quantity, true.entry_price) == (Decimal("-0.5"), number(position["entryPrice"]))
    assert (position["symbol"], position["side"]) == (PERP, "short")
    assert number(position["contracts"]) == Decimal("0.5")
    assert number(position["entryPrice"]) == number(placed["cost"]) / Decimal("0.5")
    book = true_book(venue, "SOL_USDC_PERP")
    tick = venue.catalog["SOL_USDC_PERP"].price_grid.unit
    assert abs(number(position["markPrice"]) - (book.best_bid + book.best_ask) / 2) <= tick
    await client.call("create_order", PERP, "market", "buy", 0.5, None, {"reduceOnly": True})
    assert await client.call("fetch_positions") == []
    assert list(venue.accounts[TRADER].positions()) == []


async def test_what_never_happened_is_empty(client):
    """No deposits, no withdrawals, no funding yet."""
    for method in ("fetch_deposits", "fetch_withdrawals", "fetch_funding_history"):
        assert await client.call(method) == []


@pytest.mark.parametrize(
    ("amount", "factor", "refusal"),
    [
        (1e8, 1.0, ("InsufficientFunds", "INSUFFICIENT_FUNDS")),
        (1, 0.1, ("InvalidOrder", "INVALID_PRICE")),
    ],
    ids=["funds", "price"],
)
async def test_refused_orders_are_of_the_clients_own_classes(  # noqa: PLR0917 - fixtures
    client, venue, prices, amount, factor, refusal
):
    """And leave no trace at the venue."""
    kind, message = refusal
    price = round(prices[0] * factor, 2)
    with pytest.raises(RefusedError, match=message) as refused:
        await client.call("create_order", SPOT, "limit", "buy", amount, price)
    assert kind in refused.value.kinds
    assert order_events(venue) == []
    assert venue.desk.open_orders(TRADER) == []


async def test_a_refused_payload_is_plain_text(client):
    """What the payload parser cannot read never reaches the desk."""
    payload = {"symbol": "NOPE_USDC", "side": "Bid", "orderType": "Market", "quantity": "1"}
    with pytest.raises(RefusedError, match="Bad Request") as refused:
        await client.call("private_post_api_v1_order", payload)
    assert "BaseError" in refused.value.kinds


async def test_two_clients_at_once(client, build, venue, open_client, prices):
    """The market's id counter is shared, and no order is lost."""
    other = await open_client(build, venue, **key_options(venue.trader_api_key_file))
    price, _ = prices
    await asyncio.gather(client.call("load_markets"), other.call("load_markets"))
    placed = await asyncio.gather(
        *(one.call("create_order", SPOT, "limit", "buy", 1, price) for one in (client, other))
    )
    assert {o.order_id for o in venue.desk.open_orders(TRADER)} == {int(o["id"]) for o in placed}
    assert len(placed) == 2
