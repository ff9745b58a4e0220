"""The native feed against the sandbox venue: in this process, or the one that is named.

With BACKPACK_SANDBOX_REST_URL, BACKPACK_SANDBOX_WS_URL, BACKPACK_SANDBOX_CA_FILE and
BACKPACK_SANDBOX_API_KEY_FILE in the environment the tests use that venue, which is how a
migration's dry run calls them.
"""

import os
import ssl
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from cryptofeed.defines import FUNDING, INDEX, L1_BOOK, L2_BOOK, TICKER, TRADES

from backpack_feed.constants import BALANCES, FILLS, ORDER_INFO, POSITIONS
from backpack_feed.wire.rest import BackpackRest
from tests.support.conditions import eventually
from tests.support.native_feed import Delivered, make_feed, running

SYMBOLS = ["SOL-USDC", "kPEPE-USDC-PERP", "AAPL.US-USDC-PERP", "0G-USDC-PERP"]
VENUE_SYMBOLS = {name: name.replace("-", "_") for name in SYMBOLS}
ENVIRONMENT = "BACKPACK_SANDBOX_"
# faults are for these tests alone, not for feeds that share the venue
USER_AGENT = f"native-feed-test/{os.getpid()}"


@dataclass
class Venue:
    """Where a sandbox is, and its control interface."""

    rest_url: str
    ws_url: str
    ca_file: Path
    api_key_file: Path
    http: aiohttp.ClientSession

    async def control(self, method: str, path: str, **options: Any) -> Any:
        url = f"{self.rest_url}/sandbox{path}"
        async with self.http.request(method, url, **options) as answer:
            assert answer.status < 300, await answer.text()
            return await answer.json()

    async def truth(self, symbol: str, from_id: int) -> list[dict[str, Any]]:
        params = {"symbol": VENUE_SYMBOLS[symbol], "from_id": str(from_id)}
        return list(await self.control("GET", "/truth/trades", params=params))

    @asynccontextmanager
    async def fault(self, name: str) -> AsyncIterator[None]:
        """The fault hits this feed and nobody else; it ends by itself should the test die."""
        body = {"fault": name, "user_agent": USER_AGENT, "duration_seconds": 20}
        started = await self.control("POST", "/faults", json=body)
        try:
            yield
        finally:
            await self.control("DELETE", f"/faults/{started['id']}")


@pytest.fixture
async def venue(tmp_path) -> AsyncIterator[Venue]:
    named = {
        key: os.environ.get(ENVIRONMENT + key.upper())
        for key in ("rest_url", "ws_url", "ca_file", "api_key_file")
    }
    async with AsyncExitStack() as stack:
        if not all(named.values()):
            from backpack_sandbox import Sandbox, SandboxConfig

            sandbox = await stack.enter_async_context(
                Sandbox(SandboxConfig(state_dir=tmp_path / "sandbox", trades_per_second=4.0))
            )
            named = {key: str(getattr(sandbox, key)) for key in named}
        tls = ssl.create_default_context(cafile=named["ca_file"])
        connector = aiohttp.TCPConnector(ssl=tls)
        http = await stack.enter_async_context(aiohttp.ClientSession(connector=connector))
        yield Venue(
            named["rest_url"],
            named["ws_url"],
            Path(named["ca_file"]),
            Path(named["api_key_file"]),
            http,
        )


def feed_of(venue: Venue, delivered: Delivered, **settings: Any) -> Any:
    return make_feed(venue, delivered, symbols=SYMBOLS, user_agent=USER_AGENT, **settings)


async def assert_exactly_once(venue: Venue, delivered: Delivered, first: dict[str, int]) -> None:
    """Every trade of the venue since `first`, once, in order, with its price and amount."""
    for symbol, first_id in first.items():
        mine = {t.id: t for t in delivered.trades if t.symbol == symbol}
        ids = delivered.ids(symbol)
        assert ids == list(range(first_id, first_id + len(ids)))
        rows = {str(row["id"]): row for row in await venue.truth(symbol, first_id)}
        for trade_id, trade in mine.items():
            row = rows[trade_id]
            assert trade.price == Decimal(row["price"])
            assert trade.amount == Decimal(row["quantity"])
            assert trade.side == row["side"]


async def test_every_listed_spot_and_perp_market_gets_a_name(venue):
    """Lower-case k, digits and dots included."""
    feed = feed_of(venue, Delivered())
    async with running(feed):
        assert {name: feed.table.to_venue[name] for name in SYMBOLS} == VENUE_SYMBOLS
        assert len(feed.table.to_venue) >= 15


async def test_books_are_in_sync_and_equal_to_the_venues_own(venue):
    """At the same sequence the feed's book is REST's book, level by level."""
    delivered = Delivered()
    async with (
        running(feed_of(venue, delivered)) as feed,
        BackpackRest(venue.rest_url, ca_file=venue.ca_file) as rest,
    ):
        for symbol in SYMBOLS:

            async def same(symbol: str = symbol) -> bool:
                truth = await rest.depth(VENUE_SYMBOLS[symbol])
                wanted = (dict(truth.bids), dict(truth.asks))
                return any(
                    (book["bids"], book["asks"]) == wanted
                    for book in delivered.books
                    if book["symbol"] == symbol and book["sequence"] == truth.last_update_id
                )

            assert await eventually(same)
        assert all(book["synced"] for book in feed.books_summary().values())
        assert all(feed.readiness().values())
        assert feed.health().healthy
        assert feed.metrics_snapshot()["sequence_gaps"] == 0


async def test_orders_of_the_account_arrive_signed(venue):
    """The private streams authenticate and deliver order events of the subscribed symbols."""
    delivered = Delivered()
    settings = {
        "channels": [TRADES, L2_BOOK, ORDER_INFO],
        "credentials_file": venue.api_key_file,
    }
    async with running(feed_of(venue, delivered, **settings)) as feed:
        await eventually(lambda: delivered.orders)
        assert feed.metrics_snapshot()["private_authenticated"]
        assert feed.metrics_snapshot()["auth_failures"] == 0
        assert {order.symbol for order in delivered.orders} <= set(SYMBOLS)


async def test_quotes_funding_and_the_whole_account_arrive(venue):
    """Every channel that this venue feeds within seconds, under the subscribed names."""
    channels = [TICKER, L1_BOOK, FUNDING, INDEX, ORDER_INFO, FILLS, BALANCES, POSITIONS]
    symbols: dict[str, set[str | None]] = {channel: set() for channel in channels}

    def callback(channel: str) -> Any:
        async def keep(event: Any, _receipt: float) -> None:
            symbols[channel].add(getattr(event, "symbol", None))

        return keep

    settings = {
        "channels": channels,
        "callbacks": {channel: callback(channel) for channel in channels},
        "credentials_file": venue.api_key_file,
    }
    async with running(feed_of(venue, Delivered(), **settings), until_ready=False) as feed:
        await eventually(lambda: all(symbols.values()), timeout_seconds=30)
        assert feed.metrics_snapshot()["dropped_messages"] == 0
    assert symbols.pop(BALANCES) == {None}
    assert set().union(*symbols.values()) <= set(SYMBOLS)


async def test_a_gap_costs_the_book_until_a_new_snapshot(venue):
    """Skipped ids are seen, the book comes back, and it is the venue's book again."""
    delivered = Delivered()
    async with running(feed_of(venue, delivered)) as feed:
        async with venue.fault("gap"):
            await eventually(lambda: feed.metrics_snapshot()["book_resyncs"])
            assert feed.metrics_snapshot()["sequence_gaps"]
        await eventually(lambda: all(b["synced"] for b in feed.books_summary().values()))
        assert max(feed.metrics_snapshot()["symbol_snapshot_age"].values()) < 10
        for book in delivered.books:
            if book["bids"] and book["asks"]:
                assert max(book["bids"]) < min(book["asks"])


async def test_trades_come_exactly_once_across_disconnects_and_restarts(venue):
    """Aborted sockets and a new feed with a checkpoint: nothing lost, nothing twice."""
    delivered = Delivered()
    first: dict[str, int] = {}
    async with running(feed_of(venue, delivered)) as feed:
        await eventually(lambda: {t.symbol for t in delivered.trades} >= set(SYMBOLS[:2]))
        first = {symbol: ids[0] for symbol in SYMBOLS if (ids := delivered.ids(symbol))}
        async with venue.fault("disconnect"):
            await eventually(lambda: feed.metrics_snapshot()["reconnects"])
    checkpoint = {symbol: delivered.ids(symbol)[-1] for symbol in first}
    missed = delivered.ids(SYMBOLS[0])[-1]

    async def traded_meanwhile() -> bool:
        return len(await venue.truth(SYMBOLS[0], missed)) > 2

    await eventually(traded_meanwhile)
    before = len(delivered.ids(SYMBOLS[0]))
    async with running(feed_of(venue, delivered, trade_checkpoint=checkpoint)) as feed:
        await eventually(lambda: len(delivered.ids(SYMBOLS[0])) > before + 1)
        assert feed.metrics_snapshot()["trades_backfilled"]
        assert feed.metrics_snapshot()["trades_lost"] == 0
    await assert_exactly_once(venue, delivered, first)
