"""Every scenario of the library is played with the native feed and comes to its expected end."""

import time
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest
from cryptofeed.defines import L2_BOOK, TRADES

from backpack_feed.constants import ORDER_INFO
from backpack_sandbox.faults.scenario import Scenario, find_scenario, scenario_names
from tests.support.conditions import eventually
from tests.support.native_feed import Delivered, fast_monotonic, make_feed, running
from tests.support.sandbox_client import rest_client, running_venue

SYMBOLS = ("SOL-USDC", "kPEPE-USDC-PERP")
SPEED = 4.0
WAIT_MAX_SECONDS = 40.0
COUNTED = {
    "reconnects": "reconnects",
    "gaps": "sequence_gaps",
    "resyncs": "book_resyncs",
    "repeats": "trade_duplicates",
    "refused_frames": "decode_errors",
    "socket_errors": "ws_errors",
    "refused_signatures": "auth_failures",
    "wrong_times": "future_timestamps",
}
"""A scenario's word → the native feed's counter."""


def true_book(venue: Any, symbol: str, update_id: int) -> tuple[dict, dict] | None:
    engine = venue.exchange.engines[symbol.replace("-", "_")]
    price, quantity = engine.market.price_grid.value, engine.market.quantity_grid.value
    found = venue.books.book(engine.market.symbol, update_id)
    return found and tuple({price(p): quantity(q) for p, q in levels} for levels in found)


class Checked(Delivered):
    """Compares each book with the truth at the moment of its publication."""

    def __init__(self, venue: Any) -> None:
        super().__init__()
        self._venue = venue
        self.wrong: list[tuple[str, int]] = []

    async def book(self, book: Any, receipt: float) -> None:
        sides = book.book.bids.to_dict(), book.book.asks.to_dict()
        if sides != true_book(self._venue, book.symbol, book.sequence_number):
            self.wrong.append((book.symbol, book.sequence_number))


class Play:
    """A venue that plays one scenario, and a feed that lives through it."""

    def __init__(self, venue: Any, scenario: Scenario) -> None:
        self.venue = venue
        self.scenario = scenario
        self.delivered = Checked(venue)
        self.feed = self._feed()

    def newest(self, symbol: str) -> tuple[int, int]:
        """The true update id and trade id."""
        engine = self.venue.exchange.engines[symbol.replace("-", "_")]
        return engine.last_update_id, engine.last_trade_id

    @asynccontextmanager
    async def to_the_end(self):
        """Inside the block the scenario is over, the markets stand still and the feed is level."""
        async with running(self.feed):
            await eventually(lambda: all(map(self.delivered.ids, SYMBOLS)))
            if self.scenario.expect.account != "not_asked":
                await eventually(lambda: self.feed.metrics_snapshot()["private_authenticated"])
            self.venue.scenarios.play(self.scenario, speed=SPEED)
            await eventually(lambda: not self.venue.scenarios.status()["playing"], WAIT_MAX_SECONDS)
            over = time.monotonic()
            await eventually(self._going_on, WAIT_MAX_SECONDS, self._describe)
            self.venue.driver.paused = True
            await eventually(self._level, WAIT_MAX_SECONDS, self._describe)
            assert time.monotonic() - over < self.scenario.expect.within_seconds
            yield

    async def offsets(self) -> dict[str, tuple[int, int]]:
        """Symbol → true (update id, trade id) minus those that clients are told."""
        if self.scenario.expect.ids == "kept":
            return dict.fromkeys(SYMBOLS, (0, 0))
        found = {}
        async with rest_client(self.venue) as http:
            for symbol in SYMBOLS:
                query = {"symbol": symbol.replace("-", "_")}
                async with http.get("/api/v1/depth", params=query) as answer:
                    told = int((await answer.json())["lastUpdateId"])
                async with http.get("/api/v1/trades", params=query) as answer:
                    told_trade = (await answer.json())[0]["id"]
                newest = self.newest(symbol)
                found[symbol] = newest[0] - told, newest[1] - told_trade
        return found

    def _feed(self) -> Any:
        extra: dict[str, Any] = {}
        if self.scenario.expect.account != "not_asked":
            extra = {
                "channels": [TRADES, L2_BOOK, ORDER_INFO],
                "credentials_file": self.venue.api_key_file,
            }
        return make_feed(
            self.venue, self.delivered, symbols=list(SYMBOLS), monotonic=fast_monotonic, **extra
        )

    def _going_on(self) -> bool:
        """What happens from now on arrives: at least one trade and one book of each market."""
        self._marks = getattr(self, "_marks", None) or {
            s: (self.delivered.ids(s)[-1], self._sequence(s)) for s in SYMBOLS
        }
        return all(
            self.delivered.ids(symbol)[-1] != trade
            and self._sequence(symbol) != update
            and not self._crossed(symbol)
            for symbol, (trade, update) in self._marks.items()
        )

    def _crossed(self, symbol: str) -> bool:
        bids, asks = final_book(self, symbol)
        return bool(bids and asks) and max(bids) >= min(asks)

    async def _level(self) -> bool:
        self.venue.advance(0)
        offsets = await self.offsets()
        summary = self.feed.books_summary()
        return all(
            summary[symbol]["synced"]
            and (summary[symbol]["sequence"] + update, self.delivered.ids(symbol)[-1] + trade)
            == self.newest(symbol)
            for symbol, (update, trade) in offsets.items()
        )

    def _sequence(self, symbol: str) -> int | None:
        return self.feed.books_summary()[symbol]["sequence"]

    def _describe(self) -> object:
        last = {s: (self.delivered.ids(s)[-1], self.newest(s)) for s in SYMBOLS}
        return last, self.feed.books_summary(), self.venue.faults.active(), counted(self.feed)


def counted(feed: Any) -> dict[str, int]:
    metrics = feed.metrics_snapshot()
    return {word: metrics[name] for word, name in COUNTED.items() if metrics[name]}


def final_book(play: Play, symbol: str) -> tuple[dict, dict]:
    venue_symbol = symbol.replace("-", "_")
    ladder = play.feed.session.depth.markets[venue_symbol].book.ladder
    return ladder.bids.to_dict(), ladder.asks.to_dict()


@pytest.mark.parametrize("name", scenario_names())
async def test_the_native_feed_comes_to_the_expected_end(tmp_path, name):
    """Books equal the truth, trades once each; only what may be counted was counted."""
    scenario = find_scenario(name)
    expect = scenario.expect
    async with AsyncExitStack() as stack:
        running_one = running_venue(tmp_path, paused=False, rate=30.0, trades_per_second=12.0)
        play = Play(await stack.enter_async_context(running_one), scenario)
        await stack.enter_async_context(play.to_the_end())
        for symbol, (_, trade_offset) in (await play.offsets()).items():
            last_update, last_trade = play.newest(symbol)
            assert final_book(play, symbol) == true_book(play.venue, symbol, last_update)
            ids = [number + trade_offset for number in play.delivered.ids(symbol)]
            if expect.trades_repeated is not None:
                assert len(ids) - len(set(ids)) <= expect.trades_repeated
            if expect.trades_missing is not None:
                missing = set(range(ids[0], last_trade + 1)) - set(ids)
                assert len(missing) <= expect.trades_missing, sorted(missing)[:10]
        if (expect.books, expect.ids) == ("equal", "kept"):
            assert not play.delivered.wrong
        if expect.account in {"works", "refused"}:
            works = expect.account == "works"
            await eventually(
                lambda: play.feed.metrics_snapshot()["private_authenticated"] == works,
                expect.within_seconds,
            )
        await eventually(lambda: set(expect.must_count) <= counted(play.feed).keys())
        assert counted(play.feed).keys() <= {*expect.must_count, *expect.may_count}
