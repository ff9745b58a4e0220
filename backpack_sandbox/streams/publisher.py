"""From model events to the ledger and the sockets, in that order."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from backpack_sandbox.account.funding import FUNDING_LINES, FundingClock, funding_data
from backpack_sandbox.constants import LIQUIDATION, MICROSECONDS
from backpack_sandbox.market.events import (
    BookEvent,
    LiquidationEvent,
    MarketEvent,
    OrderEvent,
    TopEvent,
    TradeEvent,
)
from backpack_sandbox.streams.account_streams import AccountStreams
from backpack_sandbox.streams.klines import Emit, KlineStreams
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
    funding: FundingClock

    def watch(self, stream: str, has_listeners: bool) -> None:
        """Each takes up the streams that are its own."""
        for streams in (self.windows, self.klines, self.periodic, self.account):
            streams.watch(stream, has_listeners)


class Publisher:
    """Stamps, encodes, records and fans out.

    `emit` takes (key of the stream, symbol, frame); `clock` is unix seconds. Frames reach the
    outboxes at once but leave only after `commit`, because the sockets write when the event loop
    runs again. `on_fill` hears of every fill of an account, after all events of its act. Engine
    times never fall below `last_engine_us`, which a restart sets to the last one of the ledger.
    """

    def __init__(
        self,
        encoders: Mapping[str, WireEncoder],
        ledger: Ledger,
        emit: Emit,
        derived: DerivedStreams,
        clock: Callable[[], float],
        *,
        trades_first: bool,
    ) -> None:
        self._encoders = encoders
        self._ledger = ledger
        self._emit = emit
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
        self.on_fill: Callable[[OrderEvent], None] = _ignore
        self._fills: list[OrderEvent] = []
        self.last_engine_us = 0

    def publish(self, events: Sequence[MarketEvent], lag_seconds: float) -> None:
        """Publish the events of one step that was due `lag_seconds` ago."""
        event_us, engine_us = self._stamps(lag_seconds)
        if self._trades_first:
            events = sorted(events, key=lambda event: not isinstance(event, TradeEvent))
        for event in events:
            self._publish[type(event)](event, event_us, engine_us)
        self.engine_us[events[0].symbol] = engine_us
        fills, self._fills = self._fills, []
        for fill in fills:
            self.on_fill(fill)

    def tick(self, second: int, lag_seconds: float) -> None:
        """Publish what comes by the clock: the model's `second` was over `lag_seconds` ago."""
        event_us, engine_us = self._stamps(lag_seconds)
        if self._derived.funding.hour_is_over(engine_us):
            self._pay_funding(second, event_us, engine_us)
        self._derived.periodic.tick(second, event_us, engine_us)
        self._derived.klines.tick(event_us, engine_us)

    def commit(self) -> None:
        """Close the windows that are over, and put all that was published into the ledger."""
        for stream, symbol, frame in self._derived.windows.flush(int(self._clock() * MICROSECONDS)):
            self._emit(stream, symbol, frame)
        self._ledger.commit()

    def _depth(self, event: BookEvent, event_us: int, engine_us: int) -> None:
        frame = self._encoders[event.symbol].depth(event, event_us, engine_us)
        self._ledger.append_depth(event, frame)
        self._emit(f"depth.{event.symbol}", event.symbol, frame)
        self._derived.windows.note(event, event_us, engine_us)

    def _top(self, event: TopEvent, event_us: int, engine_us: int) -> None:
        frame = self._encoders[event.symbol].book_ticker(event, event_us, engine_us)
        self._ledger.append(frame)
        self._emit(f"bookTicker.{event.symbol}", event.symbol, frame)

    def _trade(self, event: TradeEvent, event_us: int, engine_us: int) -> None:
        frame = self._encoders[event.symbol].trade(event, event_us, engine_us)
        trade = PublishedTrade(event, engine_us // 1000 * 1000)
        self._ledger.append_trade(trade, frame)
        self._emit(f"trade.{event.symbol}", event.symbol, frame)
        self._derived.periodic.trades((trade,))
        self._derived.klines.trade(trade, event_us)

    def _order(self, event: OrderEvent, event_us: int, engine_us: int) -> None:
        frames = self._encoders[event.symbol].order_update(event, event_us, engine_us)
        self._ledger.append(_owned(event.order.request.account, frames[0]))
        self._derived.account.follow(event, frames, event_us, engine_us)
        if event.fill:
            self._fills.append(event)

    def _pay_funding(self, second: int, event_us: int, engine_us: int) -> None:
        for account, portfolio in self._derived.account.accounts.items():
            positions = list(portfolio.positions())
            for payment in self._derived.funding.payments(positions, second, engine_us):
                data = funding_data(payment) | {"E": event_us, "T": engine_us}
                line = {"data": data, "stream": FUNDING_LINES}
                self._ledger.append(_owned(account, msgspec.json.encode(line, order="sorted")))
                self._derived.account.pay_funding(account, payment, event_us, engine_us)

    def _liquidation(self, event: LiquidationEvent, event_us: int, engine_us: int) -> None:
        whole, scoped = self._encoders[event.symbol].liquidation(event, event_us, engine_us)
        self._ledger.append(whole)
        self._emit(LIQUIDATION, event.symbol, whole)
        self._emit(f"{LIQUIDATION}.{event.symbol}", event.symbol, scoped)

    def _stamps(self, lag_seconds: float) -> tuple[int, int]:
        """(event time, engine time) in µs; the engine's never goes back."""
        event_us = int(self._clock() * MICROSECONDS)
        self.last_engine_us = max(self.last_engine_us, event_us - int(lag_seconds * MICROSECONDS))
        return event_us, self.last_engine_us


def _owned(account: str, frame: bytes) -> bytes:
    """A private frame as the ledger keeps it: whose it is, and then the frame as it was sent."""
    return b'{"account":"%b",%b' % (account.encode(), frame[1:])


def _ignore(event: OrderEvent) -> None:
    """Nobody cares."""
