"""Both feeds of a shadow process, held against each other and, where they differ, the venue."""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from cryptofeed.defines import ASK, BID
from cryptofeed.types import OrderBook, Trade

from backpack_feed.constants import BACKFILL
from backpack_feed.process.config import HandlerConfig
from backpack_feed.process.parity.books import Change, top_of
from backpack_feed.process.parity.bystander import USER_AGENT, Bystander
from backpack_feed.process.parity.comparison import Parity
from backpack_feed.process.parity.raw import RawMarket
from backpack_feed.process.parity.referee import Referee
from backpack_feed.process.parity.samples_file import WRITE_INTERVAL_SECONDS, SamplesFile
from backpack_feed.process.parity.values import NATIVE, Level, SeenTrade
from backpack_feed.wire.rest import BackpackRest, tls_context
from backpack_feed.wire.rest_addresses import proxy_of
from backpack_feed.wire.rest_limits import RequestLimits

EXPIRY_INTERVAL_SECONDS: Final = 1.0
OWN_BOOK_SECONDS: Final = 1.0
"""How often native's shown book is looked at, besides the changes that it publishes."""
REQUESTS_PER_MINUTE: Final = 300
"""A sixth of what the venue admits: the feeds come first."""


class Witness:
    """cryptofeed callbacks of one feed that tell `parity` what it delivered."""

    def __init__(
        self,
        parity: Parity,
        variant: str,
        monotonic: Callable[[], float] = time.monotonic,
        clock: Callable[[], float] = time.time,  # noqa: TID251 - an argument
    ) -> None:
        self._parity = parity
        self._variant = variant
        self._monotonic = monotonic
        self._clock = clock
        self._looked_at: dict[str, float] = {}

    async def trade(self, trade: Trade, _receipt_timestamp: float) -> None:
        """Tell of one trade; one without an id cannot be compared."""
        trade_id = int(trade.id or 0)
        if trade_id > 0:
            live = trade.type != BACKFILL
            seen = SeenTrade(
                side=trade.side,
                price=trade.price,
                amount=trade.amount,
                at_seconds=self._monotonic(),
                venue_seconds=trade.timestamp,
                latency_seconds=self._clock() - trade.timestamp if live else None,
            )
            self._parity.trade(self._variant, trade.symbol, trade_id, seen)

    async def book(self, book: OrderBook, _receipt_timestamp: float) -> None:
        """Tell of one book at its sequence number."""
        if book.sequence_number is None:
            return
        now, sequence = self._monotonic(), int(book.sequence_number)
        if self._variant == NATIVE:
            self._parity.native_book(book.symbol, self._change(book, sequence, now), now)
        else:
            self._parity.ccxt_book(book.symbol, sequence, top_of(book.book), now)

    def _change(self, book: OrderBook, sequence: int, now: float) -> Change:
        delta = book.delta
        if not delta:
            return Change(sequence, _levels(book.book.bids), _levels(book.book.asks), whole=True)
        own = None
        if now - self._looked_at.get(book.symbol, float("-inf")) >= OWN_BOOK_SECONDS:
            self._looked_at[book.symbol] = now
            own = top_of(book.book)
        return Change(sequence, delta[BID], delta[ASK], own=own)


class ShadowWatch:
    """What a shadow does besides running its feeds: expire, ask the venue, write the evidence.

    `venue_symbols` returns cryptofeed's symbol → the venue's, once that is known.
    """

    def __init__(
        self,
        parity: Parity,
        config: HandlerConfig,
        venue_symbols: Callable[[], Mapping[str, str]],
        *,
        monotonic: Callable[[], float] = time.monotonic,
        clock: Callable[[], float] = time.time,  # noqa: TID251 - an argument
    ) -> None:
        self.parity = parity
        self.raw: dict[str, tuple[str, RawMarket]] = {}
        self._config = config
        self._venue_symbols = venue_symbols
        self._monotonic = monotonic
        self._clock = clock
        file = config.parity_file
        self._file = None if file is None else SamplesFile(Path(file), config.instance_id)

    async def run(self) -> None:
        """Work until cancelled; then the evidence is written once more."""
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._expire())
                tasks.create_task(self._settle())
        finally:
            if self._file is not None:
                self._file.write(self.parity.summary(), self._clock())

    async def _expire(self) -> None:
        written_at = self._monotonic()
        while True:
            await asyncio.sleep(EXPIRY_INTERVAL_SECONDS)
            now = self._monotonic()
            self.parity.expire(now)
            if now - written_at >= WRITE_INTERVAL_SECONDS:
                written_at = now
                await self._write()

    async def _settle(self) -> None:
        venue = self._config.venue
        self.raw = await self._markets()
        bystander = Bystander(
            dict(self.raw.values()),
            ws_url=venue.ws_url,
            tls=tls_context(venue.ca_file),
            proxy=proxy_of(venue.http_proxy),
        )
        async with (
            BackpackRest(
                venue.rest_url,
                ca_file=venue.ca_file,
                proxy=venue.http_proxy,
                attempts=2,
                user_agent=USER_AGENT,
                limits=RequestLimits(requests_per_minute=REQUESTS_PER_MINUTE),
            ) as rest,
            asyncio.TaskGroup() as tasks,
        ):
            tasks.create_task(bystander.run())
            tasks.create_task(Referee(self.parity, rest, self.raw, self._monotonic).run())

    async def _markets(self) -> dict[str, tuple[str, RawMarket]]:
        symbols = self._config.symbols
        while True:
            known = self._venue_symbols()
            if known.keys() >= set(symbols):
                break
            await asyncio.sleep(EXPIRY_INTERVAL_SECONDS)
        return {symbol: (known[symbol], RawMarket()) for symbol in symbols}

    async def _write(self) -> None:
        if self._file is not None:
            # in a thread: a slow disk must not look like a slow feed
            await asyncio.to_thread(self._file.write, self.parity.summary(), self._clock())


def _levels(side: Any) -> Sequence[Level]:
    return tuple((price, side[price]) for price in side)
