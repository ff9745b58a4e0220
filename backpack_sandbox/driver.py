"""Moves the exchange along the wall clock, tick by tick."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from backpack_sandbox.market.events import MarketEvent
from backpack_sandbox.market.exchange import Exchange
from backpack_sandbox.streams.publisher import Publisher

CATCH_UP_MAX_SECONDS: Final = 1.0


class MarketDriver:
    """Runs the markets in real time, or by hand while paused.

    `clock` is monotonic seconds. After a stall of the machine at most one second of model time is
    caught up: a burst of stale events would look like a fault of the clients. `pace` is model
    seconds per second. When publishing breaks, `on_broken` runs before anything leaves, `failure`
    says why, and nothing moves any more.
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
        self.failure: Exception | None = None
        self.on_broken: Callable[[], None] = _nothing

    async def run(self) -> None:
        """Advance until cancelled; raises what broke the publishing, even of an order."""
        last = self._clock()
        while True:
            await asyncio.sleep(self._tick_seconds)
            if self.failure:
                raise self.failure
            now = self._clock()
            if not self.paused:
                self.advance(min(now - last, CATCH_UP_MAX_SECONDS) * self.pace)
            last = now

    def advance(self, seconds: float) -> None:
        """Publish the next `seconds` of model time at once."""
        with self._whole():
            until = self._exchange.model_seconds + seconds
            for due, events in self._exchange.advance(until):
                self._publisher.publish(events, min(until - due, CATCH_UP_MAX_SECONDS))
            self._publisher.commit()

    def publish(self, events: Sequence[MarketEvent]) -> None:
        """Publish what an account's order just did, before its owner gets the answer."""
        if events:
            with self._whole():
                self._publisher.publish(events, 0.0)
                self._publisher.commit()

    @contextmanager
    def _whole(self) -> Iterator[None]:
        """All of it happens, or it is the last thing that is tried and nobody hears of it."""
        if self.failure:
            raise self.failure
        try:
            yield
        except Exception as error:
            self.failure = error
            self.on_broken()
            raise


def _nothing() -> None:
    """Nobody cares."""
