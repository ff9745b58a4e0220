"""The feed's websocket under cryptofeed's connection interface.

cryptofeed opens it once; from then on it reconnects by itself for ever, with capped and jittered
backoff and at most one attempt per second, whatever the reason of the loss was. What it reads and
what happens to it goes into the inbox, which cryptofeed's connection handler consumes.
"""

import asyncio
import logging
import random
import ssl
from collections.abc import AsyncIterator, Callable

import msgspec
from cryptofeed.connection import AsyncConnection
from picows import WSCloseCode, WSError, WSMsgType
from python_socks import ProxyError

from backpack_feed.background import Background
from backpack_feed.backoff import reconnect_delay
from backpack_feed.constants import EXCHANGE
from backpack_feed.counters import FeedCounters
from backpack_feed.native.inbox import Inbox, Item, Lost, Opened
from backpack_feed.native.socket import VenueSocket, open_socket

LOG = logging.getLogger(__name__)

STEADY_SECONDS = 30.0
"""A socket that lived this long ends an episode of trouble: the backoff starts from zero."""
TICK_SECONDS = 0.5
STOP_SECONDS = 2.0
"""What a callback that is running may still take once the feed was told to stop."""
ORDERLY_CLOSES = (1000, 1001)


class BackpackConnection(AsyncConnection):
    """One websocket to the venue that comes back after every loss.

    `clock` gives unix seconds for receipt times, `monotonic` measures delays, `jitter` is random
    within [0, 1).
    """

    def __init__(
        self,
        ws_url: str,
        *,
        tls: ssl.SSLContext,
        user_agent: str,
        counters: FeedCounters,
        clock: Callable[[], float],
        monotonic: Callable[[], float],
        proxy: str | None = None,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        super().__init__(f"{EXCHANGE}.ws.{AsyncConnection.conn_count}")
        self.address = ws_url
        self.inbox = Inbox()
        self.background = Background()
        self._tls = tls
        self._user_agent = user_agent
        self._counters = counters
        self._clock = clock
        self._monotonic = monotonic
        self._proxy = proxy
        self._jitter = jitter
        self._socket: VenueSocket | None = None
        self._opened_by_feed = False
        self._was_connected = False
        self._consumer: asyncio.Task[None] | None = None
        self._in_batch = False

    @property
    def is_open(self) -> bool:
        """Whether cryptofeed holds it open; the socket itself may just be coming back."""
        return self._opened_by_feed

    @property
    def connected(self) -> bool:
        """Whether there is a socket right now."""
        return self._socket is not None

    async def read(self) -> AsyncIterator[list[Item]]:
        """Yield batches of frames, connection changes, ticks and calls until `close`."""
        self._consumer = asyncio.current_task()
        async for batch in self.inbox.batches():
            self._count(batch)
            if self.raw_data_callback is not None:
                for item in batch:
                    if isinstance(item, tuple):
                        await self.raw_data_callback.on_ws_message(self, item[0], item[1])
            self._in_batch = True
            try:
                yield batch
            finally:
                self._in_batch = False

    def _count(self, batch: list[Item]) -> None:
        newest = batch[-1]
        if isinstance(newest, tuple) and isinstance(batch[0], tuple):
            self.received += len(batch)  # frames only, or so nearly that counting costs more
            self.last_message = newest[1]
            return
        for item in batch:
            if isinstance(item, tuple):
                self.received += 1
                self.last_message = item[1]

    async def write(self, msg: str) -> None:
        """Send a text frame; without a socket nothing is sent, the next `Opened` starts over."""
        if self._socket is None or self._socket.transport is None:
            return
        self._socket.transport.send(WSMsgType.TEXT, msg.encode())
        self.sent += 1
        if self.raw_data_callback is not None:
            await self.raw_data_callback.on_ws_send(self, msg, self._clock())

    async def send(self, method: str, streams: list[str], signature: list[str] | None) -> None:
        """Send SUBSCRIBE or UNSUBSCRIBE; the venue never acknowledges either."""
        request: dict[str, object] = {"method": method, "params": streams}
        if signature is not None:
            request["signature"] = signature
        await self.write(msgspec.json.encode(request).decode())

    def reconnect(self, reason: str) -> None:
        """Drop the socket without a closing handshake, as its other end may be long gone."""
        LOG.warning("%s: reconnecting: %s", self.id, reason)
        if self._socket is not None:
            self.record_watchdog_trip()
            _abort(self._socket)

    async def close(self) -> None:
        """Stop reading and reconnecting; may be called again."""
        if not self._opened_by_feed:
            return
        self._opened_by_feed = False
        self.inbox.close()
        asyncio.get_running_loop().call_later(STOP_SECONDS, self._give_up_consumer)
        await self.background.stop()
        if self.raw_data_callback is not None:
            await self.raw_data_callback.on_close(self)

    def _give_up_consumer(self) -> None:
        """End a consumer that a sink never lets go."""
        if self._consumer is not None and self._in_batch and not self._opened_by_feed:
            LOG.error("%s: a sink did not return within %.0f s of the stop", self.id, STOP_SECONDS)
            self._consumer.cancel()

    async def _open(self) -> None:
        self.inbox = Inbox()
        self._opened_by_feed = True
        self._reset_counters()
        self.background.spawn(self._keep_connected(), f"{self.id}.socket")
        self.background.spawn(self._tick(), f"{self.id}.tick")

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(TICK_SECONDS)
            self.inbox.tick()
            if self._socket is not None and not self._socket.watch(
                self._monotonic(), self.received
            ):
                self.reconnect("the other end answers no ping")

    async def _keep_connected(self) -> None:
        attempt = 0
        while True:
            started = self._monotonic()
            try:
                reason = await self._one_socket()
            except Exception as error:  # whatever it was, the feed must come back
                LOG.exception("%s: the connection failed in an unknown way", self.id)
                self._counters.ws_errors += 1
                reason = f"failed: {type(error).__name__}"
            lived = self._monotonic() - started
            attempt = 0 if lived >= STEADY_SECONDS else attempt
            delay = reconnect_delay(attempt, seconds_since_last_attempt=lived, jitter=self._jitter)
            attempt += 1
            LOG.warning("%s: %s; connecting again in %.1f s", self.id, reason, delay)
            await asyncio.sleep(delay)

    async def _one_socket(self) -> str:
        """Connect, read until the socket is lost, and return why."""
        try:
            socket = await open_socket(
                self.address,
                self.inbox,
                tls=self._tls,
                user_agent=self._user_agent,
                proxy=self._proxy,
                clock=self._clock,
            )
        except (WSError, ProxyError, OSError, TimeoutError, EOFError) as error:
            self._counters.ws_errors += 1
            return f"cannot connect to {self.address}: {error or type(error).__name__}"
        try:
            return await self._read_socket(socket)
        finally:
            _leave(socket)

    async def _read_socket(self, socket: VenueSocket) -> str:
        trips = self.watchdog_trips
        self._counters.reconnects += self._was_connected
        self._was_connected = True
        self._socket = socket
        broken = ""
        try:
            if self.raw_data_callback is not None:
                await self.raw_data_callback.on_ws_open(self, self._clock())
            self.inbox.put(Opened())
            await _disconnected(socket)
        except (WSError, OSError) as error:
            broken = f"{type(error).__name__}: {error}"
        finally:
            self._socket = None
        code = socket.close_code()
        # a socket that the watchdog dropped is counted as a reconnect, not as a venue error
        dropped = self.watchdog_trips > trips
        self._counters.ws_errors += not (code in ORDERLY_CLOSES or dropped)
        reason = broken or f"socket lost: {_how(code)} {socket.close_reason()}".rstrip()
        self.inbox.put(Lost(reason))
        return reason


async def _disconnected(socket: VenueSocket) -> None:
    if socket.transport is not None:
        await socket.transport.wait_disconnected()


def _leave(socket: VenueSocket) -> None:
    """Say goodbye without waiting for an answer."""
    if socket.transport is not None and not socket.transport.is_disconnected:
        socket.transport.send_close(WSCloseCode.OK)
        socket.transport.disconnect(graceful=False)


def _abort(socket: VenueSocket) -> None:
    if socket.transport is not None:
        socket.transport.disconnect(graceful=False)


def _how(code: int | None) -> str:
    return "no close frame" if code is None else f"the venue closed it with {code}"
