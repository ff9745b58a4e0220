"""Market data that needs no memory of the market: quotes, candles, mark prices, and the like."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from cryptofeed.defines import (
    CANDLES,
    FUNDING,
    INDEX,
    L1_BOOK,
    LIQUIDATIONS,
    OPEN_INTEREST,
    TICKER,
)

from backpack_feed.constants import CANDLE_INTERVALS, KLINE
from backpack_feed.native.reader import Publication, Readers, UnknownSymbolError
from backpack_feed.wire.messages import (
    BookTickerMessage,
    KlineMessage,
    LiquidationMessage,
    MarkPriceMessage,
    OpenInterestMessage,
)
from backpack_feed.wire.normalise import (
    to_candle,
    to_funding,
    to_index,
    to_l1_book,
    to_liquidation,
    to_open_interest,
    to_ticker,
)

STALE_RUN: Final = 20
"""This many quotes in a row below the newest id mean that the venue restarted its counter."""

type CountFrame = Callable[[str, str | None, float], None]
"""(channel, symbol, receipt in unix seconds): called once per channel that a frame feeds."""
type _Names = Mapping[str, str]


@dataclass(slots=True)
class PlainCounts:
    """Frames that gave no event.

    `one_sided_quotes`: a side of the book was empty, which cryptofeed's types cannot say.
    `stale_quotes`: not newer than the quote before. `repeated_candles`: of an interval that had
    been closed already.
    """

    one_sided_quotes: int = 0
    stale_quotes: int = 0
    repeated_candles: int = 0


@dataclass(slots=True)
class _Quotes:
    last_id: int = -1
    stale_run: int = 0

    def is_stale(self, update_id: int) -> bool:
        if update_id > self.last_id or self.stale_run + 1 >= STALE_RUN:
            self.last_id, self.stale_run = update_id, 0
            return False
        self.stale_run += 1
        return True


class PlainStreams:
    """Readers of the streams behind TICKER, L1_BOOK, CANDLES, FUNDING, INDEX, OPEN_INTEREST and
    LIQUIDATIONS.

    `wanted`: channel → cryptofeed symbol → venue symbol; nothing else is published. One stream
    may feed two channels: `bookTicker` TICKER and L1_BOOK, `markPrice` FUNDING and INDEX. Readers
    raise `UnknownSymbolError` for a frame of a market that no channel of its stream wants, except
    for liquidations, whose one stream carries every market. `heard` is told the stream of each
    frame that comes at a known pace.
    """

    def __init__(
        self,
        wanted: Mapping[str, Mapping[str, str]],
        *,
        candle_interval: str,
        candle_closed_only: bool,
        count_frame: CountFrame,
        heard: Callable[[str], None],
    ) -> None:
        names = {channel: {v: k for k, v in symbols.items()} for channel, symbols in wanted.items()}
        self._ticker = names.get(TICKER, {})
        self._l1_book = names.get(L1_BOOK, {})
        self._funding = names.get(FUNDING, {})
        self._index = names.get(INDEX, {})
        self._open_interest = names.get(OPEN_INTEREST, {})
        self._liquidations = names.get(LIQUIDATIONS, {})
        # by stream, because the interval is nowhere else
        self._candles = {
            f"{KLINE}.{CANDLE_INTERVALS[candle_interval]}.{venue_symbol}": symbol
            for venue_symbol, symbol in names.get(CANDLES, {}).items()
        }
        self._interval = candle_interval
        self._closed_only = candle_closed_only
        self._count_frame = count_frame
        self._heard = heard
        self._quotes = {symbol: _Quotes() for symbol in self._ticker | self._l1_book}
        self._closed: dict[str, datetime] = {}
        self.counts = PlainCounts()

    def readers(self) -> Readers:
        """Return the reader of every message class that this object reads."""
        return {
            BookTickerMessage: self._on_quote,
            KlineMessage: self._on_candle,
            MarkPriceMessage: self._on_mark_price,
            OpenInterestMessage: self._on_open_interest,
            LiquidationMessage: self._on_liquidation,
        }

    def lost(self) -> None:
        """The socket is gone; the venue may number its quotes anew on the next one."""
        for quotes in self._quotes.values():
            quotes.last_id, quotes.stale_run = -1, 0

    def _on_quote(
        self, _stream: str, message: BookTickerMessage, receipt: float
    ) -> Iterable[Publication]:
        quotes = self._quotes.get(message.symbol)
        if quotes is None:
            raise UnknownSymbolError(message.symbol)
        if quotes.is_stale(message.update_id):
            self.counts.stale_quotes += 1
            return ()
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

    def _on_candle(
        self, stream: str, message: KlineMessage, receipt: float
    ) -> Iterable[Publication]:
        symbol = self._candles.get(stream)
        if symbol is None:
            raise UnknownSymbolError(message.symbol)
        self._count_frame(CANDLES, symbol, receipt)
        closed = self._closed.get(symbol)
        if closed is not None and message.start <= closed:
            self.counts.repeated_candles += 1
            return ()
        if message.closed:
            self._closed[symbol] = message.start
        elif self._closed_only:
            return ()
        candle = to_candle(message, symbol, self._interval)
        return () if candle is None else ((CANDLES, candle, receipt),)

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
