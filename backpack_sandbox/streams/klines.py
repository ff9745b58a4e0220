"""`kline.<interval>.<symbol>`: candles of the trades, kept while somebody listens."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from backpack_sandbox.streams.candles import INTERVALS, Candle, empty_candle
from backpack_sandbox.streams.market_frames import MarketFrames
from backpack_sandbox.truth.ledger import Ledger, PublishedTrade

REPEAT_SECONDS: Final = 5

type Emit = Callable[[str, str, bytes], None]
"""Takes (stream, symbol, frame)."""


@dataclass(slots=True)
class _Kline:
    stream: str
    interval: str
    candle: Candle | None = None
    changed: bool = True
    quiet_seconds: int = 0


class KlineStreams:
    """One frame a second after a change, a repeat every five seconds, one final frame at the close.

    A candle holds exactly the trades whose `T` lies in its interval, whenever a client came: what
    was traded before is read back from the ledger.
    """

    def __init__(self, frames: Mapping[str, MarketFrames], ledger: Ledger, emit: Emit) -> None:
        self._frames = frames
        self._ledger = ledger
        self._emit = emit
        self._klines: dict[str, dict[str, _Kline]] = {}

    def watch(self, stream: str, has_listeners: bool) -> None:
        """Start or stop a stream; names that are no kline of a market are ignored."""
        kind, _, rest = stream.partition(".")
        interval, _, symbol = rest.partition(".")
        if kind != "kline" or interval not in INTERVALS or symbol not in self._frames:
            return
        if has_listeners:
            self._klines.setdefault(symbol, {})[stream] = _Kline(stream, interval)
        else:
            self._klines.get(symbol, {}).pop(stream, None)

    def trade(self, trade: PublishedTrade, event_us: int) -> None:
        """Take up a trade that the ledger has already."""
        event = trade.event
        for kline in self._klines.get(event.symbol, {}).values():
            kline.changed = True
            if kline.candle is None:
                kline.candle = self._from_ledger(event.symbol, kline.interval, trade.engine_us)
                continue
            self._roll(event.symbol, kline, event_us, trade.engine_us)
            kline.candle.add(event.price, event.quantity)

    def tick(self, event_us: int, engine_us: int) -> None:
        """A second went by: close what is over, tell what changed."""
        for symbol, klines in self._klines.items():
            for kline in klines.values():
                if kline.candle is None:
                    kline.candle = self._from_ledger(symbol, kline.interval, engine_us)
                self._roll(symbol, kline, event_us, engine_us)
                kline.quiet_seconds += 1
                if kline.changed or kline.quiet_seconds >= REPEAT_SECONDS:
                    self._tell(symbol, kline, event_us, final=False)

    def _roll(self, symbol: str, kline: _Kline, event_us: int, engine_us: int) -> None:
        while kline.candle is not None and kline.candle.end_us <= engine_us:
            self._tell(symbol, kline, event_us, final=True)
            kline.candle = empty_candle(kline.interval, kline.candle.end_us)

    def _tell(self, symbol: str, kline: _Kline, event_us: int, *, final: bool) -> None:
        if kline.candle is None:
            return
        frame = self._frames[symbol].kline(kline.stream, kline.candle, event_us, final=final)
        self._emit(kline.stream, symbol, frame)
        kline.changed = False
        kline.quiet_seconds = 0

    def _from_ledger(self, symbol: str, interval: str, engine_us: int) -> Candle:
        candle = empty_candle(interval, engine_us)
        for trade in trades_since(self._ledger, symbol, candle.start_us):
            candle.add(trade.event.price, trade.event.quantity)
        return candle


def trades_since(ledger: Ledger, symbol: str, start_us: int) -> list[PublishedTrade]:
    """Trades of one market from `start_us` (engine time) on, oldest first."""
    found = []
    for trade in ledger.newest_trades(symbol):
        if trade.engine_us < start_us:
            break
        found.append(trade)
    return found[::-1]
