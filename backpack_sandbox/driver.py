"""Moves the exchange along the wall clock, tick by tick."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

from backpack_sandbox.market.events import MarketEvent
from backpack_sandbox.market.exchange import Exchange
from backpack_sandbox.streams.publisher import Publisher

CATCH_UP_MAX_SECONDS: Final = 1.0


class MarketDriver:
    """Runs the markets in real time, or by hand while paused.

    `clock` is monotonic seconds. After a stall of the machine at most one second of model time is
    caught up: a burst of stale events would look like a fault of the clients. `pace` is model
    seconds per second.
    """

    def __init__(
        self,
        exchange: Exchange,
        publisher: Publisher,
        clock: Callable[[], float],
        *,
        tick_seconds: float,
        paused: bool,
    ) -> None:
        self._exchange = exchange
        self._publisher = publisher
        self._clock = clock
        self._tick_seconds = tick_seconds
        self.paused = paused
        self.pace = 1.0

    async def run(self) -> None:
        """Advance until cancelled."""
        last = self._clock()
        while True:
            await asyncio.sleep(self._tick_seconds)
            now = self._clock()
            if not self.paused:
                self.advance(min(now - last, CATCH_UP_MAX_SECONDS) * self.pace)
            last = now

    def advance(self, seconds: float) -> None:
        """Publish the next `seconds` of model time at once."""
        until = self._exchange.model_seconds + seconds
        for due, events in self._exchange.advance(until):
            self._publisher.publish(events, min(until - due, CATCH_UP_MAX_SECONDS))
        self._publisher.commit()

    def publish(self, events: Sequence[MarketEvent]) -> None:
        """Publish what an account's order just did, before its owner gets the answer."""
        if events:
            self._publisher.publish(events, 0.0)
            self._publisher.commit()
