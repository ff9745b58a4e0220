"""From model events to the ledger and the sockets, in that order."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from backpack_sandbox.constants import LIQUIDATION, MICROSECONDS, ORDER_UPDATE
from backpack_sandbox.market.events import (
    BookEvent,
    LiquidationEvent,
    MarketEvent,
    OrderEvent,
    TopEvent,
    TradeEvent,
)
from backpack_sandbox.sockets.fanout import Fanout
from backpack_sandbox.streams.account_streams import AccountStreams
from backpack_sandbox.streams.klines import KlineStreams
from backpack_sandbox.streams.periodic import PeriodicStreams
from backpack_sandbox.streams.windows import DepthWindows
from backpack_sandbox.streams.wire import WireEncoder
from backpack_sandbox.truth.ledger import Ledger, PublishedTrade


@dataclass(frozen=True, slots=True)
class DerivedStreams:
    """The streams that follow from the events and from the clock."""

    windows: DepthWindows
    klines: KlineStreams
    periodic: PeriodicStreams
    account: AccountStreams

    def watch(self, stream: str, has_listeners: bool) -> None:
        """Each takes up the streams that are its own."""
        for streams in (self.windows, self.klines, self.periodic, self.account):
            streams.watch(stream, has_listeners)


class Publisher:
    """Stamps, encodes, records and fans out.

    `clock` is unix seconds. Frames reach the outboxes at once but leave only after `commit`,
    because the sockets write when the event loop runs again.
    """

    def __init__(
        self,
        encoders: Mapping[str, WireEncoder],
        ledger: Ledger,
        fanout: Fanout,
        derived: DerivedStreams,
        clock: Callable[[], float],
        *,
        trades_first: bool,
    ) -> None:
        self._encoders = encoders
        self._ledger = ledger
        self._fanout = fanout
        self._clock = clock
        self._trades_first = trades_first
        self._derived = derived
        self._publish: dict[type, Callable[[Any, int, int], None]] = {
            BookEvent: self._depth,
            TopEvent: self._top,
            TradeEvent: self._trade,
            OrderEvent: self._order,
            LiquidationEvent: self._liquidation,
        }
        self.engine_us: dict[str, int] = {}
        self._last_engine_us = 0
        fanout.on_streams_changed = derived.watch

    def publish(self, events: Sequence[MarketEvent], lag_seconds: float) -> None:
        """Publish the events of one step that was due `lag_seconds` ago."""
        event_us, engine_us = self._stamps(lag_seconds)
        if self._trades_first:
            events = sorted(events, key=lambda event: not isinstance(event, TradeEvent))
        for event in events:
            self._publish[type(event)](event, event_us, engine_us)
        self.engine_us[events[0].symbol] = engine_us

    def tick(self, second: int, lag_seconds: float) -> None:
        """Publish what comes by the clock: the model's `second` was over `lag_seconds` ago."""
        event_us, engine_us = self._stamps(lag_seconds)
        self._derived.periodic.tick(second, event_us, engine_us)
        self._derived.klines.tick(event_us, engine_us)

    def commit(self) -> None:
        """Close the windows that are over, and put all that was published into the ledger."""
        for stream, symbol, frame in self._derived.windows.flush(int(self._clock() * MICROSECONDS)):
            self._fanout.publish(stream, symbol, frame)
        self._ledger.commit()

    def _depth(self, event: BookEvent, event_us: int, engine_us: int) -> None:
        frame = self._encoders[event.symbol].depth(event, event_us, engine_us)
        self._ledger.append(frame)
        self._fanout.publish(f"depth.{event.symbol}", event.symbol, frame)
        self._derived.windows.note(event, event_us, engine_us)

    def _top(self, event: TopEvent, event_us: int, engine_us: int) -> None:
        frame = self._encoders[event.symbol].book_ticker(event, event_us, engine_us)
        self._ledger.append(frame)
        self._fanout.publish(f"bookTicker.{event.symbol}", event.symbol, frame)

    def _trade(self, event: TradeEvent, event_us: int, engine_us: int) -> None:
        frame = self._encoders[event.symbol].trade(event, event_us, engine_us)
        trade = PublishedTrade(event, engine_us // 1000 * 1000)
        self._ledger.append_trade(trade, frame)
        self._fanout.publish(f"trade.{event.symbol}", event.symbol, frame)
        self._derived.periodic.trades((trade,))
        self._derived.klines.trade(trade, event_us)

    def _order(self, event: OrderEvent, event_us: int, engine_us: int) -> None:
        whole, scoped = self._encoders[event.symbol].order_update(event, event_us, engine_us)
        self._ledger.append(whole)
        self._fanout.publish(ORDER_UPDATE, event.symbol, whole)
        self._fanout.publish(f"{ORDER_UPDATE}.{event.symbol}", event.symbol, scoped)
        self._derived.account.follow(event, event_us, engine_us)

    def _liquidation(self, event: LiquidationEvent, event_us: int, engine_us: int) -> None:
        whole, scoped = self._encoders[event.symbol].liquidation(event, event_us, engine_us)
        self._ledger.append(whole)
        self._fanout.publish(LIQUIDATION, event.symbol, whole)
        self._fanout.publish(f"{LIQUIDATION}.{event.symbol}", event.symbol, scoped)

    def _stamps(self, lag_seconds: float) -> tuple[int, int]:
        """(event time, engine time) in µs; the engine's never goes back."""
        event_us = int(self._clock() * MICROSECONDS)
        self._last_engine_us = max(self._last_engine_us, event_us - int(lag_seconds * MICROSECONDS))
        return event_us, self._last_engine_us
