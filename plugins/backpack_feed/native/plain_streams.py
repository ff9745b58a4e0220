"""Market data that needs no memory of the market: quotes, mark prices, and the like."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from cryptofeed.defines import (
    FUNDING,
    INDEX,
    L1_BOOK,
    LIQUIDATIONS,
    OPEN_INTEREST,
    TICKER,
)

from backpack_feed.native.reader import Publication, Readers, UnknownSymbolError
from backpack_feed.wire.messages import (
    BookTickerMessage,
    LiquidationMessage,
    MarkPriceMessage,
    OpenInterestMessage,
)
from backpack_feed.wire.normalise import (
    to_funding,
    to_index,
    to_l1_book,
    to_liquidation,
    to_open_interest,
    to_ticker,
)

type CountFrame = Callable[[str, str | None, float], None]
"""(channel, symbol, receipt in unix seconds): called once per channel that a frame feeds."""
type _Names = Mapping[str, str]


@dataclass(slots=True)
class PlainCounts:
    """Frames that gave no event.

    `one_sided_quotes`: a side of the book was empty, which cryptofeed's types cannot say.
    `stale_quotes`: not newer than the quote before.
    """

    one_sided_quotes: int = 0
    stale_quotes: int = 0


type Top = tuple[Decimal | None, Decimal | None, Decimal | None, Decimal | None]
"""Bid, its size, ask, its size; None and None for an empty side."""


@dataclass(slots=True)
class QuoteMarket:
    """One market's quotes; `heard_at` is monotonic seconds, `top` None before the first quote."""

    last_id: int = -1
    time_us: int = 0
    top: Top | None = None
    heard_at: float = float("-inf")

    def is_stale(self, update_id: int, time_us: int) -> bool:
        """Whether a quote is not newer than the one before; takes its id and time if it is.

        A repeat has an old id and an old time; an old id with a later time is a new numbering.
        """
        if update_id <= self.last_id and time_us <= self.time_us:
            return True
        self.last_id, self.time_us = update_id, time_us
        return False


class PlainStreams:
    """Readers of the streams behind every public channel but TRADES, L2_BOOK and CANDLES.

    `wanted`: channel → cryptofeed symbol → venue symbol; nothing else is published. One stream
    may feed two channels: `bookTicker` TICKER and L1_BOOK, `markPrice` FUNDING and INDEX. Readers
    raise `UnknownSymbolError` for a frame of a market that no channel of its stream wants, except
    for liquidations, whose one stream carries every market. `heard` is told the stream of each
    frame that comes at a known pace; `now` is the monotonic time of the batch that is being read.
    """

    def __init__(
        self,
        wanted: Mapping[str, Mapping[str, str]],
        *,
        count_frame: CountFrame,
        heard: Callable[[str], None],
        now: Callable[[], float],
    ) -> None:
        names = {channel: {v: k for k, v in symbols.items()} for channel, symbols in wanted.items()}
        self._ticker = names.get(TICKER, {})
        self._l1_book = names.get(L1_BOOK, {})
        self._funding = names.get(FUNDING, {})
        self._index = names.get(INDEX, {})
        self._open_interest = names.get(OPEN_INTEREST, {})
        self._liquidations = names.get(LIQUIDATIONS, {})
        self._count_frame = count_frame
        self._heard = heard
        self._now = now
        self.quotes = {symbol: QuoteMarket() for symbol in self._ticker | self._l1_book}
        self.counts = PlainCounts()

    def readers(self) -> Readers:
        """Return the reader of every message class that this object reads."""
        return {
            BookTickerMessage: self._on_quote,
            MarkPriceMessage: self._on_mark_price,
            OpenInterestMessage: self._on_open_interest,
            LiquidationMessage: self._on_liquidation,
        }

    def lost(self) -> None:
        """The socket is gone; the venue may number its quotes anew on the next one."""
        for quotes in self.quotes.values():
            quotes.last_id, quotes.time_us, quotes.top = -1, 0, None

    def _on_quote(
        self, _stream: str, message: BookTickerMessage, receipt: float
    ) -> Iterable[Publication]:
        quotes = self.quotes.get(message.symbol)
        if quotes is None:
            raise UnknownSymbolError(message.symbol)
        quotes.heard_at = self._now()
        if quotes.is_stale(message.update_id, message.engine_time_us):
            self.counts.stale_quotes += 1
            return ()
        quotes.top = (message.bid, message.bid_size, message.ask, message.ask_size)
        self.counts.one_sided_quotes += message.bid is None or message.ask is None
        return self._fan_out(
            message,
            receipt,
            (TICKER, self._ticker, to_ticker),
            (L1_BOOK, self._l1_book, to_l1_book),
        )

    def _on_mark_price(
        self, stream: str, message: MarkPriceMessage, receipt: float
    ) -> Iterable[Publication]:
        self._heard(stream)
        return self._fan_out(
            message, receipt, (FUNDING, self._funding, to_funding), (INDEX, self._index, to_index)
        )

    def _on_open_interest(
        self, stream: str, message: OpenInterestMessage, receipt: float
    ) -> Iterable[Publication]:
        self._heard(stream)
        return self._fan_out(
            message, receipt, (OPEN_INTEREST, self._open_interest, to_open_interest)
        )

    def _on_liquidation(
        self, _stream: str, message: LiquidationMessage, receipt: float
    ) -> Iterable[Publication]:
        if message.symbol not in self._liquidations:
            return ()
        return self._fan_out(message, receipt, (LIQUIDATIONS, self._liquidations, to_liquidation))

    def _fan_out(
        self,
        message: Any,
        receipt: float,
        *channels: tuple[str, _Names, Callable[[Any, str], Any]],
    ) -> list[Publication]:
        publications: list[Publication] = []
        known = False
        for channel, names, normalise in channels:
            symbol = names.get(message.symbol)
            if symbol is None:
                continue
            known = True
            self._count_frame(channel, symbol, receipt)
            event = normalise(message, symbol)
            if event is not None:
                publications.append((channel, event, receipt))
        if not known:
            raise UnknownSymbolError(message.symbol)
        return publications
