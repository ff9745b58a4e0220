"""The streams that speak by the clock: tickers, mark prices, open interest and stock quotes."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from backpack_sandbox.constants import MICROSECONDS
from backpack_sandbox.market.perpetuals import Perpetuals
from backpack_sandbox.market.stock_calendar import session_at
from backpack_sandbox.streams.day_statistics import DayStatistics
from backpack_sandbox.streams.klines import Emit
from backpack_sandbox.streams.market_frames import MarketFrames
from backpack_sandbox.streams.stocks import StockQuotes
from backpack_sandbox.truth.ledger import PublishedTrade

OPEN_INTEREST_EVERY_SECONDS: Final = 60


@dataclass(frozen=True, slots=True)
class Moment:
    """The model's second that is over, and its stamps in unix µs."""

    second: int
    event_us: int
    engine_us: int


type Encode = Callable[[str, Moment], bytes | None]
"""Takes the subject, a symbol or a ticker; None when there is nothing to tell."""


@dataclass(slots=True)
class _Kind:
    subjects: frozenset[str]
    encode: Encode
    every_seconds: int = 1
    watched: dict[str, None] = field(default_factory=dict)


class PeriodicStreams:
    """Every second of the model's time, open interest every minute.

    Only what somebody listens to is encoded.
    """

    def __init__(
        self,
        frames: Mapping[str, MarketFrames],
        perpetuals: Perpetuals,
        stocks: StockQuotes,
        emit: Emit,
    ) -> None:
        self.days = {symbol: DayStatistics() for symbol in frames}
        self._frames = frames
        self._perpetuals = perpetuals
        self._stocks = stocks
        self._emit = emit
        perps = frozenset(perpetuals)
        self._kinds = {
            "ticker": _Kind(frozenset(frames), self._ticker),
            "externalTicker": _Kind(stocks.symbols, self._external_ticker),
            "markPrice": _Kind(perps, self._mark_price),
            "openInterest": _Kind(perps, self._open_interest, OPEN_INTEREST_EVERY_SECONDS),
            "stockPrice": _Kind(stocks.tickers, self._stock_price),
            "stockIndicativeQuote": _Kind(stocks.tickers, self._stock_indicative_quote),
        }

    def watch(self, stream: str, has_listeners: bool) -> None:
        """Start or stop a stream; names of other kinds and of unknown markets are ignored."""
        name, _, subject = stream.partition(".")
        kind = self._kinds.get(name)
        if kind is None or subject not in kind.subjects:
            return
        if has_listeners:
            kind.watched[subject] = None
        else:
            kind.watched.pop(subject, None)

    def trades(self, trades: Iterable[PublishedTrade]) -> None:
        """Take up trades into the statistics of their markets."""
        for trade in trades:
            event = trade.event
            self.days[event.symbol].add(trade.engine_us, event.price, event.quantity)

    def tick(self, second: int, event_us: int, engine_us: int) -> None:
        """The model's `second` is over."""
        moment = Moment(second, event_us, engine_us)
        for name, kind in self._kinds.items():
            if second % kind.every_seconds:
                continue
            for subject in kind.watched:
                if frame := kind.encode(subject, moment):
                    self._emit(f"{name}.{subject}", self._symbol(subject), frame)

    def _symbol(self, subject: str) -> str:
        return self._stocks.symbol(subject) if subject in self._stocks.tickers else subject

    def _ticker(self, symbol: str, now: Moment) -> bytes | None:
        """None for a market without a trade in 24 hours: REST has a 204 for it."""
        day = self.days[symbol].summary(now.engine_us)
        return self._frames[symbol].ticker(day, now.event_us) if day else None

    def _external_ticker(self, symbol: str, now: Moment) -> bytes | None:
        day = self.days[symbol].summary(now.engine_us)
        return self._frames[symbol].external_ticker(day, now.event_us) if day else None

    def _mark_price(self, symbol: str, now: Moment) -> bytes | None:
        mark = self._perpetuals.mark_price(symbol, now.second, now.engine_us)
        if mark is None:
            return None
        return self._frames[symbol].mark_price(mark, now.event_us, now.engine_us)

    def _open_interest(self, symbol: str, now: Moment) -> bytes:
        steps = self._perpetuals.open_interest(symbol, now.second)
        return self._frames[symbol].open_interest(steps, now.event_us)

    def _stock_price(self, ticker: str, now: Moment) -> bytes:
        frames = self._frames[self._stocks.symbol(ticker)]
        quote = self._stocks.quote(ticker)
        return frames.stock_price(ticker, quote, _stock_session(now), now.event_us)

    def _stock_indicative_quote(self, ticker: str, now: Moment) -> bytes:
        frames = self._frames[self._stocks.symbol(ticker)]
        quote = self._stocks.quote(ticker)
        return frames.stock_indicative_quote(ticker, quote, _stock_session(now))


def _stock_session(now: Moment) -> str | None:
    """As streams call it; None while the stock exchange is closed."""
    session = session_at(now.event_us / MICROSECONDS)
    return None if session is None else session.stream_name
