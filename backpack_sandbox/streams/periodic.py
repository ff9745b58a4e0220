"""The streams that speak by the clock: ticker, markPrice and openInterest."""

from collections.abc import Callable, Iterable, Mapping
from typing import Final

from backpack_sandbox.market.perpetuals import Perpetuals
from backpack_sandbox.streams.day_statistics import DayStatistics
from backpack_sandbox.streams.klines import Emit
from backpack_sandbox.streams.market_frames import MarketFrames
from backpack_sandbox.truth.ledger import PublishedTrade

OPEN_INTEREST_EVERY_SECONDS: Final = 60

type Encode = Callable[[str, int, int, int], bytes | None]
"""Takes (symbol, second, event µs, engine µs); None when there is nothing to tell."""


class PeriodicStreams:
    """Ticker and markPrice every second, openInterest every minute, of the model's time.

    Only what somebody listens to is encoded.
    """

    def __init__(
        self, frames: Mapping[str, MarketFrames], perpetuals: Perpetuals, emit: Emit
    ) -> None:
        self.days = {symbol: DayStatistics() for symbol in frames}
        self._frames = frames
        self._perpetuals = perpetuals
        self._emit = emit
        self._watched: dict[str, dict[str, None]] = {kind: {} for kind in _KINDS}

    def watch(self, stream: str, has_listeners: bool) -> None:
        """Start or stop a stream; names of other kinds and of unknown markets are ignored."""
        kind, _, symbol = stream.partition(".")
        known = self._frames if kind == "ticker" else self._perpetuals
        if kind not in _KINDS or symbol not in known:
            return
        if has_listeners:
            self._watched[kind][symbol] = None
        else:
            self._watched[kind].pop(symbol, None)

    def trades(self, trades: Iterable[PublishedTrade]) -> None:
        """Take up trades into the statistics of their markets."""
        for trade in trades:
            event = trade.event
            self.days[event.symbol].add(trade.engine_us, event.price, event.quantity)

    def tick(self, second: int, event_us: int, engine_us: int) -> None:
        """The model's `second` is over."""
        for kind, encode in self._due(second).items():
            for symbol in self._watched[kind]:
                if frame := encode(symbol, second, event_us, engine_us):
                    self._emit(f"{kind}.{symbol}", symbol, frame)

    def _due(self, second: int) -> dict[str, Encode]:
        due: dict[str, Encode] = {"ticker": self._ticker, "markPrice": self._mark_price}
        if second % OPEN_INTEREST_EVERY_SECONDS == 0:
            due["openInterest"] = self._open_interest
        return due

    def _ticker(self, symbol: str, _second: int, event_us: int, engine_us: int) -> bytes | None:
        """None for a market without a trade in 24 hours: REST has a 204 for it."""
        day = self.days[symbol].summary(engine_us)
        return self._frames[symbol].ticker(day, event_us) if day else None

    def _mark_price(self, symbol: str, second: int, event_us: int, engine_us: int) -> bytes | None:
        mark = self._perpetuals.mark_price(symbol, second, engine_us)
        return self._frames[symbol].mark_price(mark, event_us, engine_us) if mark else None

    def _open_interest(
        self, symbol: str, second: int, event_us: int, _engine_us: int
    ) -> bytes | None:
        steps = self._perpetuals.open_interest(symbol, second)
        return self._frames[symbol].open_interest(steps, event_us)


_KINDS: Final = ("ticker", "markPrice", "openInterest")
