"""The sandbox's streams over TLS: cadence, schema, and agreement with the ledger and with REST."""

import json
from collections import Counter
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from tests.support.backpack_fixtures import schema_violations
from tests.support.sandbox_client import (
    rest_client,
    running_venue,
    signed_headers,
    wire_client,
)

SYMBOL = "SOL_USDC_PERP"
PRIVATE = ("account.orderUpdate", "account.positionUpdate", "account.balanceUpdate")


class Clock:
    """Wall time that goes on with the market's: both stand still between two calls."""

    def __init__(self, venue_time: float) -> None:
        self.now = venue_time

    def __call__(self) -> float:
        return self.now

    def run(self, venue, seconds: float) -> None:
        for _ in range(round(seconds / 0.25)):
            self.now += 0.25
            venue.advance(0.25)


@pytest.fixture
def clock():
    return Clock(1_790_900_010.0)


@pytest.fixture
async def venue(tmp_path, clock):
    async with running_venue(tmp_path, trades_per_second=4.0, clock=clock) as venue:
        yield venue


def by_stream(frames: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    streams: dict[str, list[dict[str, Any]]] = {}
    for frame in frames:
        streams.setdefault(frame["stream"], []).append(frame["data"])
    return streams


async def test_ticker_and_mark_price_come_every_second_and_open_interest_every_minute(venue, clock):
    """Also while nothing changes; not for closed markets, nor for spot what only perps have."""
    names = {"ticker": 120, "markPrice": 120, "openInterest": 2}
    async with wire_client(venue) as client:
        silent = ("ticker.HNT_USDC", "markPrice.SOL_USDC", "openInterest.TON_USDC_PERP")
        await client.subscribe(*(f"{kind}.{SYMBOL}" for kind in names), *silent)
        await client.drain()
        clock.run(venue, 120)
        streams = by_stream(await client.drain_data())
        for kind, count in names.items():
            frames = streams.pop(f"{kind}.{SYMBOL}")
            assert len(frames) in {count, count - 1}
            assert [error for data in frames for error in schema_violations(kind, data)] == []
        assert streams == {}


async def test_klines_fold_exactly_the_published_trades_and_close_once(venue, clock):
    """A client that came in the middle of an interval has the whole of it."""
    clock.run(venue, 20)
    async with wire_client(venue) as client:
        await client.subscribe(f"kline.1m.{SYMBOL}", f"kline.5m.{SYMBOL}", f"kline.7m.{SYMBOL}")
        await client.drain()
        clock.run(venue, 220)
        streams = by_stream(await client.drain_data())
    assert streams.keys() == {f"kline.1m.{SYMBOL}", f"kline.5m.{SYMBOL}"}
    minutes = streams[f"kline.1m.{SYMBOL}"]
    closed = [data for data in minutes if data["X"]]
    assert len(closed) == 4
    assert [data["t"] for data in closed[1:]] == [data["T"] for data in closed[:-1]]
    assert [error for data in minutes for error in schema_violations("kline", data)] == []
    for data in closed:
        assert {key: data[key] for key in "ohlcnv"} == truth(venue, data["t"], data["T"])
    assert len(minutes) <= 220 + len(closed)


def truth(venue, start: str, end: str) -> dict[str, Any]:
    """A candle from the ledger's trades alone."""
    bounds = [datetime.fromisoformat(t).replace(tzinfo=UTC).timestamp() * 1e6 for t in (start, end)]
    trades = [
        trade.event
        for trade in venue.ledger.trades(SYMBOL)
        if bounds[0] <= trade.engine_us < bounds[1]
    ]
    market = venue.catalog[SYMBOL]
    prices = [trade.price for trade in trades]
    figures = {"o": prices[0], "h": max(prices), "l": min(prices), "c": prices[-1]}
    texts = {key: market.price_grid.padded(price) for key, price in figures.items()}
    volume = market.quantity_grid.padded(sum(trade.quantity for trade in trades))
    return texts | {"n": len(trades), "v": volume}


async def test_a_kline_of_a_market_without_trades_repeats_and_closes_with_nulls(venue, clock):
    """About every five seconds, and one final frame per interval."""
    async with wire_client(venue) as client:
        await client.subscribe("kline.1m.MSFT.US_USDC_PERP")
        await client.drain()
        clock.run(venue, 120)
        frames = [frame["data"] for frame in await client.drain_data()]
    assert {(data["o"], data["n"], data["v"]) for data in frames} == {(None, 0, "0")}
    assert sum(data["X"] for data in frames) == 2
    assert 20 <= len(frames) <= 30


async def test_the_ticker_is_the_day_of_the_ledger_also_after_a_restart(tmp_path, clock):
    """Volume and count of everything that was ever traded, as long as that is under 24 hours."""
    async with running_venue(tmp_path, trades_per_second=4.0, clock=clock) as venue:
        clock.run(venue, 30)
    async with running_venue(tmp_path, clock=clock) as venue, wire_client(venue) as client:
        await client.subscribe(f"ticker.{SYMBOL}")
        await client.drain()
        clock.run(venue, 30)
        last = (await client.drain_data())[-1]["data"]
        trades = [trade.event for trade in venue.ledger.trades(SYMBOL)]
        market = venue.catalog[SYMBOL]
        steps = sum(trade.quantity for trade in trades)
        assert (last["n"], last["v"]) == (len(trades), market.quantity_grid.padded(steps))
        assert last["o"] == market.price_grid.padded(trades[0].price)
        assert last["c"] == market.price_grid.padded(trades[-1].price)


async def test_liquidations_of_all_markets_come_on_one_stream_and_are_real_trades(venue, clock):
    """Each is in the ledger, and its last trade carries its price."""
    async with wire_client(venue) as client:
        await client.subscribe("liquidation", f"liquidation.{SYMBOL}", "trade.SOL_USDC_PERP")
        await client.drain()
        clock.run(venue, 240)
        streams = by_stream(await client.drain_data())
    every = streams["liquidation"]
    assert len({data["s"] for data in every}) > 1
    assert [error for data in every for error in schema_violations("liquidation", data)] == []
    assert streams[f"liquidation.{SYMBOL}"] == [data for data in every if data["s"] == SYMBOL]
    trades = {(data["E"], data["p"], data["m"]) for data in streams[f"trade.{SYMBOL}"]}
    for data in streams[f"liquidation.{SYMBOL}"]:
        assert (data["E"], data["p"], data["S"] == "Ask") in trades


async def signed(venue, clock, path: str, instruction: str) -> Any:
    headers = signed_headers(venue, instruction, now=clock.now)
    async with rest_client(venue) as http, http.get(path, headers=headers) as answer:
        assert answer.status == 200
        return await answer.json()


async def test_private_streams_tell_the_account_that_rest_shows(venue, clock):
    """Orders, fills, balances and positions move; the last word of each is what REST says."""
    async with wire_client(venue) as client:
        await client.subscribe(*PRIVATE, signature=client.signature(now=clock.now))
        assert await client.drain() == []
        balances = await signed(venue, clock, "/api/v1/capital", "balanceQuery")
        clock.run(venue, 60)
        raw = await client.drain()
        capital = await signed(venue, clock, "/api/v1/capital", "balanceQuery")
        rows = await signed(venue, clock, "/api/v1/position", "positionQuery")
    frames = [json.loads(text) for text in raw]
    for text, frame in zip(raw, frames, strict=True):
        assert schema_violations(frame["stream"], frame["data"]) == []
        assert text == json.dumps(frame, separators=(",", ":"), sort_keys=True)
    kinds = Counter(frame["data"]["e"] for frame in frames)
    assert kinds.keys() >= {"orderAccepted", "orderFill", "orderCancelled", "balanceUpdate"}
    assert kinds.keys() >= {"positionOpened", "positionAdjusted", "positionClosed"}
    streams = by_stream(frames)
    for data in streams["account.balanceUpdate"]:
        told = {"available": data["A"], "locked": data["L"], "staked": data["S"]}
        balances[data["a"]] = told
    assert balances == capital
    positions = {data["s"]: data for data in streams["account.positionUpdate"]}
    told = {(s, data["q"], data["B"], data["i"]) for s, data in positions.items()}
    still_open = {row for row in told if row[1] != "0"}
    assert still_open == {
        (row["symbol"], row["netQuantity"], row["entryPrice"], int(row["positionId"]))
        for row in rows
    }


async def test_open_positions_are_shown_once_to_a_newcomer_and_balances_never(venue, clock):
    """One frame without `e` per open position, of the one market on a scoped stream."""
    clock.run(venue, 60)
    rows = await signed(venue, clock, "/api/v1/position", "positionQuery")
    scope = rows[0]["symbol"]
    async with wire_client(venue) as client, wire_client(venue) as other:
        await client.subscribe(*PRIVATE, signature=client.signature(now=clock.now))
        first = await client.drain_data()
        assert {frame["stream"] for frame in first} == {"account.positionUpdate"}
        assert [frame["data"]["s"] for frame in first] == [row["symbol"] for row in rows]
        assert not [frame for frame in first if "e" in frame["data"]]
        await other.subscribe(
            f"account.positionUpdate.{scope}", signature=other.signature(now=clock.now)
        )
        (only,) = await other.drain_data()
        assert (only["stream"], only["data"]["s"]) == (f"account.positionUpdate.{scope}", scope)
        await client.subscribe(*PRIVATE, signature=client.signature(now=clock.now))
        assert await client.drain() == []


async def test_a_restart_keeps_balances_and_positions(tmp_path, clock):
    """They follow from the ledger's order events, so no id of a position is used twice either."""
    account = []
    for _ in range(2):
        async with running_venue(tmp_path, trades_per_second=4.0, clock=clock) as venue:
            if not account:
                clock.run(venue, 60)
            account.append(
                [
                    await signed(venue, clock, "/api/v1/capital", "balanceQuery"),
                    await signed(venue, clock, "/api/v1/position", "positionQuery"),
                ]
            )
    assert account[0] == account[1]
    assert Decimal(account[0][0]["USDC"]["available"]) != Decimal(10_000_000)
    assert account[0][1]
