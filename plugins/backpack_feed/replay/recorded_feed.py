"""The whole native feed in virtual time: recorded frames below it, a recorder above it."""

import asyncio
import base64
import hashlib
import random
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final

from cryptofeed.types import OrderBook
from nacl.signing import SigningKey

from backpack_feed.constants import BALANCES, FILLS, ORDER_INFO, POSITIONS
from backpack_feed.native.connection import BackpackConnection
from backpack_feed.native.feed import BackpackFeed
from backpack_feed.native.markets import Markets
from backpack_feed.replay.modelled_venue import ModelledVenue
from backpack_feed.replay.recorded_rest import REST_URL, RecordedRest
from backpack_feed.replay.recorded_socket import RecordedConnection
from backpack_feed.wire.signing import Signer

KEPT_EVENTS: Final = 50
"""Of one replay; later ones are only counted."""
SHOWN_LEVELS: Final = 20
"""Of each side of a change."""
MAX_DEPTH: Final = 5
START_SECONDS: Final = 1_790_900_001.0
"""The wall clock at the start, unix seconds: a replay prints the same every time."""
PRIVATE: Final = frozenset({ORDER_INFO, FILLS, BALANCES, POSITIONS})
_NOT_COUNTERS: Final = frozenset(
    {"symbol_snapshot_age", "last_message_timestamp", "private_authenticated"}
)


@dataclass
class Recorder:
    """What reached the callbacks."""

    events: list[dict[str, Any]] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    kept_events: int = KEPT_EVENTS

    def callback(self, channel: str) -> Callable[[Any, float], Any]:
        """Return the callback of one channel."""

        async def take(event: Any, _receipt: float) -> None:
            self.counts[channel] = self.counts.get(channel, 0) + 1
            if len(self.events) < self.kept_events:
                self.events.append({"channel": channel} | event_dict(event))

        return take


class RecordedFeed(BackpackFeed):
    """Takes the arguments of `BackpackFeed`; `venue` answers its REST requests."""

    connection_type: ClassVar[type[BackpackConnection]] = RecordedConnection

    def __init__(self, venue: ModelledVenue, **settings: Any) -> None:
        started = asyncio.get_running_loop().time()

        def clock() -> float:
            return START_SECONDS + asyncio.get_running_loop().time() - started

        self.recorder = Recorder()
        channels = settings["subscription"]
        settings.setdefault("max_depth", MAX_DEPTH)
        super().__init__(
            rest_url=REST_URL,
            callbacks={channel: self.recorder.callback(channel) for channel in channels},
            # with a signer a feed subscribes the account's streams, whatever its channels are
            signer=replay_signer(clock) if PRIVATE & set(channels) else None,
            clock=clock,
            monotonic=asyncio.get_running_loop().time,
            **settings,
        )
        self._rest = RecordedRest(venue, clock=clock, attempts=2, signer=self._signer)
        self._markets = Markets(self._rest, monotonic=self._monotonic)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[RecordedConnection]:
        """Read the markets, connect, and consume until the block ends.

        Raises `ConfigError` for symbols that the venue does not list.
        """
        await self._setup()
        ((connection, _, _),) = self.connect()
        async with connection.connect():
            consumer = asyncio.create_task(self._consume(connection))
            try:
                yield connection
            finally:
                await connection.close()
                with suppress(asyncio.CancelledError):
                    await consumer

    async def _consume(self, connection: RecordedConnection) -> None:
        async for batch in connection.read():
            await self.message_handler(batch, connection, self._clock())

    def moved(self) -> dict[str, Any]:
        """Return every counter that is not zero."""
        return _nonzero(
            {k: v for k, v in self.metrics_snapshot().items() if k not in _NOT_COUNTERS}
        )


def _nonzero(counters: Mapping[str, Any]) -> dict[str, Any]:
    inner = {k: _nonzero(v) if isinstance(v, Mapping) else v for k, v in counters.items()}
    return {k: v for k, v in inner.items() if v}


def event_dict(event: Any) -> dict[str, Any]:
    """Return an event's plain values; a book shows its top, its size and the change."""
    if not isinstance(event, OrderBook):
        return dict(event.to_dict())
    bids, asks = event.book.bids, event.book.asks
    return {
        "symbol": event.symbol,
        "sequence_number": event.sequence_number,
        "best_bid": bids.index(0) if len(bids) else None,
        "best_ask": asks.index(0) if len(asks) else None,
        "levels": [len(bids), len(asks)],
        "delta": event.delta
        and {side: list(levels[:SHOWN_LEVELS]) for side, levels in event.delta.items()},
        "changed_levels": event.delta and sum(map(len, event.delta.values())),
        "timestamp": event.timestamp,
    }


def replay_signer(clock: Callable[[], float]) -> Signer:
    """Return a signer with a key of no account, so that private streams can be subscribed."""
    key = SigningKey(hashlib.sha256(b"a key of no account").digest())
    public, secret = bytes(key.verify_key), bytes(key)
    return Signer(base64.b64encode(public).decode(), base64.b64encode(secret).decode(), clock=clock)


@asynccontextmanager
async def same_jitter() -> AsyncIterator[None]:
    """Let backoffs jitter the same way every time."""
    state = random.getstate()
    random.seed(0)
    try:
        yield
    finally:
        random.setstate(state)
