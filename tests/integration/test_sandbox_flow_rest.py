"""Random trading over REST: answers, histories, balances, books and private streams agree."""

import json
from collections import defaultdict
from decimal import Decimal
from random import Random
from typing import Any

import pytest

from backpack_sandbox import Sandbox
from backpack_sandbox.market.book import Side
from tests.support.sandbox_client import SignedClient, running_venue, signed_client, wire_client

SYMBOLS = ["SOL_USDC", "ETH_USDC", "SOL_USDC_PERP", "ETH_USDC_PERP"]
STEPS = 40


def random_order(venue: Sandbox, random: Random) -> dict[str, Any]:
    """Near the top of the book: some rest, some take, some are refused."""
    symbol = random.choice(SYMBOLS)
    engine = venue.exchange.engines[symbol]
    side = random.choice([Side.BID, Side.ASK])
    order = {
        "symbol": symbol,
        "side": "Bid" if side is Side.BID else "Ask",
        "selfTradePrevention": random.choice(["RejectTaker", "RejectMaker", "RejectBoth"]),
        "quantity": engine.market.quantity_grid.normal(random.randint(1, 400)),
    }
    if random.random() < 0.3:
        return order | {"orderType": "Market"}
    ticks = engine.book.best_price(side) + random.randint(-5, 5)
    return order | {
        "orderType": "Limit",
        "price": engine.market.price_grid.normal(ticks),
        "timeInForce": random.choice(["GTC", "GTC", "IOC", "FOK"]),
        "postOnly": random.random() < 0.2,
    }


async def act(venue: Sandbox, trader: SignedClient, random: Random) -> None:
    """One step: an order, a cancel, a cancel of all, or the market goes on."""
    kind = random.random()
    if kind < 0.6:
        answer = await trader.place(**random_order(venue, random))
        assert answer.status in {200, 400}
    elif kind < 0.75:
        rows = (await trader.get("/api/v1/orders", "orderQueryAll")).json
        if rows:
            row = random.choice(rows)
            ids = {"symbol": row["symbol"], "orderId": row["id"]}
            assert (await trader.send("DELETE", "/api/v1/order", "orderCancel", ids)).status == 200
    elif kind < 0.8:
        symbol = {"symbol": random.choice(SYMBOLS)}
        await trader.send("DELETE", "/api/v1/orders", "orderCancelAll", symbol)
    else:
        venue.advance(0.5)


async def rows_of(trader: SignedClient, name: str, instruction: str) -> list[dict[str, Any]]:
    path = f"/wapi/v1/history/{name}"
    return (await trader.get(path, instruction, limit=1000)).json


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_whatever_is_traded_everything_agrees(tmp_path, seed):
    """Each figure is read from two sides."""
    random = Random(seed)
    async with (
        running_venue(
            tmp_path, seed=seed, trades_per_second=10.0, taker_delay_seconds=0.0
        ) as venue,
        signed_client(venue) as trader,
        wire_client(venue, account="trader") as wire,
    ):
        venue.advance(5)
        before = (await trader.get("/api/v1/capital", "balanceQuery")).json
        streams = ["account.orderUpdate", "account.balanceUpdate", "account.positionUpdate"]
        await wire.subscribe(*streams, signature=wire.signature())
        await wire.drain()
        for _ in range(STEPS):
            await act(venue, trader, random)
        frames = [json.loads(frame) for frame in await wire.drain()]
        after = (await trader.get("/api/v1/capital", "balanceQuery")).json
        orders = await rows_of(trader, "orders", "orderHistoryQueryAll")
        fills = await rows_of(trader, "fills", "fillHistoryQueryAll")
        settled = await rows_of(trader, "settlement", "settlementHistoryQueryAll")
        resting = (await trader.get("/api/v1/orders", "orderQueryAll")).json
        held = (await trader.get("/api/v1/position", "positionQuery")).json
        engines = venue.exchange.engines
        assert {int(row["id"]) for row in resting} == {
            order.order_id for symbol in SYMBOLS for order in engines[symbol].open_orders("trader")
        }
        for row in resting:
            assert_in_the_book(engines[row["symbol"]], row)
        trades = {s: {t.event.trade_id for t in venue.ledger.trades(s)} for s in SYMBOLS}
    assert fills
    assert all(fill["tradeId"] in trades[fill["symbol"]] for fill in fills)
    assert_orders_add_up(orders, fills, frames)
    assert_balances_add_up(before, after, fills, settled, resting)
    assert_streams_agree(frames, after, held)


def assert_in_the_book(engine: Any, row: dict[str, Any]) -> None:
    """A resting order is part of its level."""
    side = Side.BID if row["side"] == "Bid" else Side.ASK
    level = engine.book.quantity(side, engine.market.price_grid.count(row["price"]))
    left = Decimal(row["quantity"]) - Decimal(row["executedQuantity"])
    assert engine.market.quantity_grid.value(level) >= left


def assert_orders_add_up(
    orders: list[dict[str, Any]], fills: list[dict[str, Any]], frames: list[dict[str, Any]]
) -> None:
    """What an order executed is the sum of its fills, and its last frame says the same."""
    executed: defaultdict[str, Decimal] = defaultdict(Decimal)
    for fill in fills:
        executed[fill["orderId"]] += Decimal(fill["quantity"])
    updates = [f["data"] for f in frames if f["stream"] == "account.orderUpdate"]
    last = {update["i"]: update for update in updates}
    assert {row["id"] for row in orders} == last.keys()
    for row in orders:
        assert Decimal(row["executedQuantity"]) == executed[row["id"]]
        told = last[row["id"]]
        assert (told["X"], Decimal(told["z"])) == (row["status"], executed[row["id"]])
    assert {u["t"] for u in updates if u["t"]} == {fill["tradeId"] for fill in fills}


def assert_balances_add_up(
    before: dict[str, Any],
    after: dict[str, Any],
    fills: list[dict[str, Any]],
    settled: list[dict[str, Any]],
    resting: list[dict[str, Any]],
) -> None:
    """Balances moved by fills, fees and settlements; locked is what the spot orders would pay."""
    moved: defaultdict[str, Decimal] = defaultdict(Decimal)
    for fill in fills:
        if fill["symbol"].endswith("_PERP"):
            continue
        base, quote = fill["symbol"].split("_")
        sign = 1 if fill["side"] == "Bid" else -1
        moved[base] += sign * Decimal(fill["quantity"])
        moved[quote] -= sign * Decimal(fill["quantity"]) * Decimal(fill["price"])
        moved[fill["feeSymbol"]] -= Decimal(fill["fee"])
    moved["USDC"] += sum(Decimal(row["quoteQuantity"]) for row in settled)
    locked: defaultdict[str, Decimal] = defaultdict(Decimal)
    for row in resting:
        if row["symbol"].endswith("_PERP"):
            continue
        base, quote = row["symbol"].split("_")
        left = Decimal(row["quantity"]) - Decimal(row["executedQuantity"])
        if row["side"] == "Bid":
            locked[quote] += left * Decimal(row["price"])
        else:
            locked[base] += left
    for asset, balance in after.items():
        total = Decimal(balance["available"]) + Decimal(balance["locked"])
        assert total - Decimal(before[asset]["available"]) == moved[asset], asset
        assert Decimal(balance["locked"]) == locked[asset], asset


def assert_streams_agree(
    frames: list[dict[str, Any]], after: dict[str, Any], held: list[dict[str, Any]]
) -> None:
    """The last frame of a balance or a position is what REST says of it."""
    balances = {f["data"]["a"]: f["data"] for f in frames if "balanceUpdate" in f["stream"]}
    for asset, told in balances.items():
        assert (told["A"], told["L"]) == (after[asset]["available"], after[asset]["locked"])
    positions = {f["data"]["s"]: f["data"] for f in frames if "positionUpdate" in f["stream"]}
    open_ones = {s: told for s, told in positions.items() if told["e"] != "positionClosed"}
    assert {
        row["symbol"]: (row["netQuantity"], row["entryPrice"], row["positionId"]) for row in held
    } == {symbol: (told["q"], told["B"], str(told["i"])) for symbol, told in open_ones.items()}
