"""Private streams through ccxt.pro in Python and Node: orders, balances and positions."""

import asyncio
from decimal import Decimal

import pytest

from backpack_sandbox.constants import TRADER
from tests.conformance.ccxt_clients import STREAMING_BUILDS, key_options
from tests.conformance.refusals import RefusedError
from tests.conformance.truth import published, true_balance, true_book
from tests.support.conditions import eventually

SPOT, PERP = "SOL/USDC", "SOL/USDC:USDC"


@pytest.fixture(params=STREAMING_BUILDS)
def build(request) -> str:
    return request.param


@pytest.fixture
async def client(build, live_venue, open_client):
    client = await open_client(build, live_venue, **key_options(live_venue.trader_api_key_file))
    await client.call("load_markets")
    return client


def number(value) -> Decimal:
    return Decimal(str(value))


def streams_of(venue):
    """What sockets that signed have asked for, by plain name."""
    return {key.rpartition("\0")[2] for key in venue.fanout._listeners if "account." in key}


async def watched(client, venue, stream, method, *args):
    """A task that waits for the first answer of a watch method, once the venue knows of it."""
    task = asyncio.create_task(client.call(method, *args))
    await eventually(lambda: stream in streams_of(venue) or task.done())
    assert not task.done(), task.result()
    return task


async def test_orders(client, live_venue):
    """Accepted and cancelled, each with the id that REST gave."""
    price = float(true_book(live_venue, "SOL_USDC").best_bid - 1)
    task = await watched(client, live_venue, "account.orderUpdate", "watch_orders")
    placed = await client.call("create_order", SPOT, "limit", "buy", 1, price, {"postOnly": True})
    (order,) = await task
    assert (order["id"], order["status"], order["symbol"]) == (placed["id"], "open", SPOT)
    assert (number(order["price"]), number(order["amount"])) == (number(price), 1)
    task = asyncio.create_task(client.call("watch_orders"))
    await client.call("cancel_order", placed["id"], SPOT)
    assert [order["status"] for order in await task if order["id"] == placed["id"]] == ["canceled"]
    events = published(live_venue, "account.orderUpdate", TRADER)
    assert [frame["e"] for frame in events] == ["orderAccepted", "orderCancelled"]


@pytest.mark.parametrize("build", ["python-async"])
async def test_balances(client, live_venue):
    """A resting order locks what the stream says."""
    task = await watched(client, live_venue, "account.balanceUpdate", "watch_balance")
    price = float(true_book(live_venue, "SOL_USDC").best_bid - 1)
    await client.call("create_order", SPOT, "limit", "buy", 1, price, {"postOnly": True})
    balance = await task
    free, used = true_balance(live_venue, "USDC")
    assert (number(balance["USDC"]["free"]), number(balance["USDC"]["used"])) == (free, used)
    assert used > 0


async def test_positions(client, live_venue):
    """Opened by a market order."""
    task = await watched(client, live_venue, "account.positionUpdate", "watch_positions")
    await client.call("create_order", PERP, "market", "sell", 0.5)
    position = (await task)[-1]
    (true,) = live_venue.accounts[TRADER].positions()
    assert (position["symbol"], position["side"]) == (PERP, "short")
    assert number(position["contracts"]) == -true.quantity == Decimal("0.5")


@pytest.mark.parametrize("build", ["python-async"])
async def test_a_wrong_key_is_raised_by_the_watcher(live_venue, open_client, wrong_key, build):
    """The 4003 frame ends the wait."""
    client = await open_client(build, live_venue, **key_options(wrong_key))
    with pytest.raises(RefusedError, match="Invalid signature"):
        await client.call("watch_orders")


async def test_finding_entry_price_of_a_position_is_its_break_even(client, live_venue):
    """`B` is the entry, ccxt reads `b`."""
    task = await watched(client, live_venue, "account.positionUpdate", "watch_positions")
    await client.call("create_order", PERP, "market", "sell", 0.5)
    position = (await task)[-1]
    (true,) = live_venue.accounts[TRADER].positions()
    assert number(position["entryPrice"]) != true.entry_price
    difference = abs(number(position["entryPrice"]) - true.break_even_price)
    assert difference < Decimal("0.01")


async def test_finding_open_positions_are_not_told_at_the_start(client, live_venue):
    """The venue sends them without `e`; ccxt takes only frames that have one."""
    await client.call("create_order", PERP, "market", "sell", 0.5)
    task = await watched(client, live_venue, "account.positionUpdate", "watch_positions")
    trades = await client.call("watch_trades", PERP)  # later on the same socket
    assert trades
    assert not task.done()
    await client.call("create_order", PERP, "market", "sell", 0.5)
    assert number((await task)[-1]["contracts"]) > Decimal("0.5")


async def test_finding_filled_is_the_last_fill(build, venue, open_client):
    """Of an order that ate two levels ccxt shows what the second one gave: `l` and not `z`."""
    client = await open_client(build, venue, **key_options(venue.trader_api_key_file))
    await client.call("load_markets")
    task = await watched(client, venue, "account.orderUpdate", "watch_orders")
    book = true_book(venue, "SOL_USDC")
    amount = book.asks[book.best_ask] + Decimal("0.01")
    placed = await client.call("create_order", SPOT, "market", "buy", float(amount))
    seen = {}
    while seen.get(placed["id"], {}).get("status") != "closed":
        # another order's frame, for the case that all of the first were there before the watcher
        price = float(book.best_bid - 1)
        await client.call("create_order", SPOT, "limit", "buy", 1, price, {"postOnly": True})
        seen |= {order["id"]: order for order in await task}
        task = asyncio.create_task(client.call("watch_orders"))
    task.cancel()
    updates = published(venue, "account.orderUpdate", TRADER)
    last = [frame for frame in updates if frame["i"] == placed["id"]][-1]
    assert (Decimal(last["l"]), Decimal(last["z"])) == (Decimal("0.01"), amount)
    assert number(seen[placed["id"]]["filled"]) == Decimal("0.01")


async def test_finding_orders_cannot_be_unwatched(client, live_venue, build):
    """Python's build fails on its own cache once that holds an order."""
    price = float(true_book(live_venue, "SOL_USDC").best_bid - 1)
    task = await watched(client, live_venue, "account.orderUpdate", "watch_orders")
    await client.call("create_order", SPOT, "limit", "buy", 1, price, {"postOnly": True})
    await task
    if build == "python-async":
        with pytest.raises(AttributeError, match="keys"):
            await client.call("un_watch_orders")
    else:
        await client.call("un_watch_orders")
        await eventually(lambda: not streams_of(live_venue))
