"""Attacks on the ground truth: full disks, clocks that go back, orders that end late."""

import asyncio
import errno
import json
import os
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import pairwise
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosedError

from backpack_sandbox import Sandbox, SandboxConfig
from backpack_sandbox.account import history
from backpack_sandbox.errors import SandboxError
from backpack_sandbox.truth import ledger
from backpack_sandbox.truth.recovery import recover
from tests.support.sandbox_client import (
    rest_client,
    running_venue,
    signed_client,
    wire_client,
)

BID = {"symbol": "SOL_USDC", "side": "Bid", "orderType": "Limit", "quantity": "1"}


@pytest.fixture
def full_disk(monkeypatch):
    """A switch: from then on the ledger's writes take a half and then nothing."""
    write, is_full = os.write, []

    def torn(descriptor, content):
        if not is_full:
            return write(descriptor, content)
        if len(is_full) > 1:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        is_full.append(True)
        return write(descriptor, content[: len(content) // 2])

    monkeypatch.setattr(ledger.os, "write", torn)
    return lambda: is_full.append(True)


@asynccontextmanager
async def breaking_venue(state_dir: Path) -> AsyncIterator[Sandbox]:
    """One whose end tells what broke it."""
    stack = AsyncExitStack()
    yield await stack.enter_async_context(running_venue(state_dir))
    with pytest.raises(SandboxError):
        await stack.aclose()


async def received(client):
    """Every frame until the venue hangs up."""
    return [str(frame) async for frame in client.socket]


async def ended(venue: Sandbox) -> str:
    """What a venue says as it stops by itself."""
    with pytest.raises(SandboxError) as caught:
        await venue.run_until(asyncio.Event())
    return str(caught.value)


async def test_what_a_full_disk_does_not_take_nobody_gets(tmp_path, full_disk):
    """The venue ends with one sentence, the ledger with a whole line, and every client cut off."""
    async with breaking_venue(tmp_path) as venue, wire_client(venue) as client:
        await client.subscribe("depth.SOL_USDC", "bookTicker.SOL_USDC", "trade.SOL_USDC")
        await client.drain()
        venue.advance(2)
        before = await client.drain()
        full_disk()
        with pytest.raises(SandboxError):
            venue.advance(2)
        with pytest.raises(ConnectionClosedError):
            before += await received(client)
        reason = await ended(venue)
    assert reason.startswith(f"{tmp_path / 'ledger.jsonl'}: No space left on device; ")
    content = (tmp_path / "ledger.jsonl").read_bytes()
    assert before
    assert set(before) <= set(content.decode().split("\n"))
    assert content.endswith(b"\n")


async def test_an_order_that_could_not_be_written_down_was_never_placed(tmp_path, full_disk):
    """Its owner gets no order, nobody sees the book it made, and the restart has neither."""
    async with breaking_venue(tmp_path) as venue, signed_client(venue, "trader") as trader:
        best = venue.exchange.engines["SOL_USDC"].book.levels("Bid", 1)[0][0]
        price = venue.catalog["SOL_USDC"].price_grid.normal(best)
        good = await trader.place(**BID, price=price, postOnly=True)
        full_disk()
        bad = await trader.place(**BID, price=price, postOnly=True)
        seen = await trader.http.get("/api/v1/depth", params={"symbol": "SOL_USDC"})
        await ended(venue)
    assert (good.status, bad.status, seen.status) == (200, 503, 503)
    states = recover(tmp_path / "ledger.jsonl", venue.catalog).states
    assert [str(o.order_id) for o in states["SOL_USDC"].orders] == [good.json["id"]]


async def test_a_full_disk_leaves_no_checkpoint_ahead_of_the_ledger(
    tmp_path, full_disk, monkeypatch
):
    """The next start stands where the ledger ends, and goes on from there."""
    async with breaking_venue(tmp_path) as venue:
        venue.advance(3)
        full_disk()
        with pytest.raises(SandboxError):
            venue.advance(3)
        await ended(venue)
    monkeypatch.undo()
    states = recover(tmp_path / "ledger.jsonl", venue.catalog).states
    async with running_venue(tmp_path) as venue:
        assert {s: e.last_update_id for s, e in venue.exchange.engines.items()} == {
            symbol: state.last_update_id for symbol, state in states.items()
        }
        venue.advance(3)
    whole = recover(tmp_path / "ledger.jsonl", venue.catalog).states
    assert whole["SOL_USDC"].last_update_id > states["SOL_USDC"].last_update_id


@pytest.mark.parametrize("is_killed", [False, True])
async def test_engine_times_do_not_go_back_with_the_clock(tmp_path, is_killed):
    """A machine whose clock was set back an hour between two starts."""
    now = time.time()
    async with running_venue(tmp_path, clock=lambda: now) as venue:
        venue.advance(5)
        if is_killed:
            venue.ledger.on_growth = lambda: None
    async with running_venue(tmp_path, clock=lambda: now - 3600) as venue:
        venue.advance(5)
        trades = venue.ledger.trades("SOL_USDC")
    frames = (json.loads(line) for line in (tmp_path / "ledger.jsonl").read_bytes().splitlines())
    times = [f["data"]["T"] for f in frames if f.get("stream", "").startswith("depth.")]
    assert times == sorted(times)
    assert [t.engine_us for t in trades] == sorted(t.engine_us for t in trades)


@pytest.mark.parametrize("ended_before", [3, 20])
async def test_an_old_order_that_ends_is_answered(tmp_path, monkeypatch, ended_before):
    """Its record is not forgotten between its end and the answer."""
    monkeypatch.setattr(history, "KEPT", 3)
    async with (
        running_venue(tmp_path, taker_delay_seconds=0.0) as venue,
        signed_client(venue, "trader") as trader,
    ):
        best = venue.exchange.engines["SOL_USDC"].book.levels("Bid", 1)[0][0]
        price = venue.catalog["SOL_USDC"].price_grid.normal(best)
        old = await trader.place(**BID, price=price, postOnly=True)
        assert old.status == 200, old.text
        for _ in range(ended_before):
            answer = await trader.place(**BID, price=price, timeInForce="IOC")
            assert answer.status == 200
        path = ("DELETE", "/api/v1/order", "orderCancel")
        answer = await trader.send(*path, {"symbol": "SOL_USDC", "orderId": old.json["id"]})
        assert (answer.status, answer.json["status"]) == (200, "Cancelled")


async def test_the_history_of_trades_is_the_same_from_memory_and_from_disk(tmp_path, monkeypatch):
    """Pages over the border between both, by offset, equal the whole list."""
    monkeypatch.setattr("backpack_sandbox.truth.trade_journal.KEPT", 20)
    monkeypatch.setattr("backpack_sandbox.truth.trade_journal.CHAPTER_TRADES", 7)
    async with running_venue(tmp_path, trades_per_second=5.0) as venue, rest_client(venue) as http:
        venue.advance(40)
        whole = [t.event.trade_id for t in venue.ledger.trades("SOL_USDC")][::-1]
        assert len(whole) > 60
        for offset in [*range(0, len(whole), 9), len(whole) - 1, len(whole), len(whole) + 9]:
            query = {"symbol": "SOL_USDC", "limit": "13", "offset": str(offset)}
            async with http.get("/api/v1/trades/history", params=query) as answer:
                ids = [row["id"] for row in await answer.json()]
            assert ids == whole[offset : offset + 13]


async def test_trades_are_read_whole_while_more_are_noted(tmp_path, monkeypatch):
    """An upload is compared for minutes, and memory forgets trades meanwhile."""
    monkeypatch.setattr("backpack_sandbox.truth.trade_journal.KEPT", 20)
    monkeypatch.setattr("backpack_sandbox.truth.trade_journal.CHAPTER_TRADES", 7)
    async with running_venue(tmp_path, trades_per_second=5.0) as venue:
        venue.advance(10)
        reading, ids = iter(venue.ledger.trades_since("SOL_USDC", 0)), []
        while len(ids) < 100:
            ids += [trade.event.trade_id for trade, _ in zip(reading, range(5), strict=False)]
            venue.advance(5)
        assert ids[0] == venue.catalog["SOL_USDC"].first_trade_id + 1


async def test_ids_of_markets_lie_years_apart(tmp_path):
    """With the busiest market's thousands of ids a second, and below what JSON readers hold."""
    async with running_venue(tmp_path, profile="venue") as venue:
        markets = list(venue.catalog.values())
    for name in ("first_order_id", "first_trade_id", "first_update_id"):
        firsts = sorted(getattr(market, name) for market in markets)
        gaps = [b - a for a, b in pairwise(firsts)]
        assert min(gaps) > 200 * 86_400 * 365
        assert firsts[-1] + max(gaps) < 2**53


async def test_an_order_that_waits_when_the_venue_stops_is_placed_and_written_down(
    tmp_path, monkeypatch
):
    """Or refused: never told to its owner and lost."""
    sleep, is_waiting = asyncio.sleep, asyncio.Event()

    async def noted(seconds):
        if seconds == 0.3:
            is_waiting.set()
        await sleep(seconds)

    monkeypatch.setattr(asyncio, "sleep", noted)
    stack = AsyncExitStack()
    venue = await stack.enter_async_context(running_venue(tmp_path, taker_delay_seconds=0.3))
    async with signed_client(venue, "trader") as trader:
        best = venue.exchange.engines["SOL_USDC"].book.levels("Bid", 1)[0][0]
        price = venue.catalog["SOL_USDC"].price_grid.normal(best)
        waiting = asyncio.create_task(trader.place(**BID, price=price))
        await is_waiting.wait()
        await stack.aclose()
        answer = await waiting
    assert answer.status == 200, answer.text
    state = recover(tmp_path / "ledger.jsonl", venue.catalog).states["SOL_USDC"]
    assert [str(order.order_id) for order in state.orders] == [answer.json["id"]]


async def test_orders_cancels_and_takers_that_wait_agree_in_the_end(tmp_path):
    """Whatever order they come in: answers, open orders, history and ledger say the same."""
    async with (
        running_venue(tmp_path, taker_delay_seconds=0.05, paused=False) as venue,
        signed_client(venue, "trader") as trader,
    ):
        engine = venue.exchange.engines["SOL_USDC"]

        async def once(number):
            best = engine.book.levels("Bid", 1)[0][0]
            price = venue.catalog["SOL_USDC"].price_grid.normal(best)
            if number % 4 == 3:
                path = ("DELETE", "/api/v1/orders", "orderCancelAll")
                return await trader.send(*path, {"symbol": "SOL_USDC"})
            terms = [{}, {"postOnly": True}, {"timeInForce": "IOC"}][number % 4]
            return await trader.place(**BID, price=price, **terms)

        answers = await asyncio.gather(*map(once, range(120)))
        assert {answer.status for answer in answers} <= {200, 400}
        told = {a.json["id"] for a in answers if a.status == 200 and isinstance(a.json, dict)}
        venue.driver.paused = True
        still_open = {str(order.order_id) for order in engine.open_orders("trader")}
        known = {str(r.order.order_id) for r in venue.accounts.history.orders("trader")}
    assert told == known
    recovered = recover(tmp_path / "ledger.jsonl", venue.catalog)
    assert {str(o.order_id) for o in recovered.states["SOL_USDC"].orders} & told == still_open
    assert {str(r.order.order_id) for r in recovered.history.orders("trader")} == told
    before = venue.accounts["trader"].balances()
    assert list(recovered.accounts["trader"].balances()) == list(before)


async def test_a_ledger_of_another_profile_is_refused_with_the_remedy(tmp_path):
    """And it is whole afterwards."""
    async with running_venue(tmp_path, profile="venue") as venue:
        venue.advance(1)
        last_ids = {s: e.last_update_id for s, e in venue.exchange.engines.items()}
    with pytest.raises(SandboxError, match="start the venue with the --profile"):
        await Sandbox(SandboxConfig(state_dir=tmp_path)).__aenter__()
    async with running_venue(tmp_path, profile="venue") as venue:
        assert {s: e.last_update_id for s, e in venue.exchange.engines.items()} == last_ids
