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
from contextlib import suppress

import msgspec
from cryptofeed.connection import AsyncConnection
from websockets.asyncio.client import ClientConnection
from websockets.asyncio.client import connect as connect_socket
from websockets.exceptions import ConnectionClosed, ConnectionClosedOK, WebSocketException

from backpack_feed.background import Background
from backpack_feed.backoff import reconnect_delay
from backpack_feed.constants import EXCHANGE, FRAME_LIMIT_BYTES
from backpack_feed.counters import FeedCounters
from backpack_feed.native.inbox import Frame, Inbox, Item, Lost, Opened

LOG = logging.getLogger(__name__)

STEADY_SECONDS = 30.0
"""A socket that lived this long ends an episode of trouble: the backoff starts from zero."""
OPEN_TIMEOUT_SECONDS = 10.0
# A half-open socket is found within the sum of both, also in a market that is rightly quiet
PING_INTERVAL_SECONDS = 5.0
PING_TIMEOUT_SECONDS = 8.0
CLOSE_TIMEOUT_SECONDS = 1.0
TICK_SECONDS = 0.5
SOCKET_QUEUE_FRAMES = 1024


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
        self._socket: ClientConnection | None = None
        self._opened_by_feed = False
        self._was_connected = False

    @property
    def is_open(self) -> bool:
        """Whether cryptofeed holds it open; the socket itself may just be coming back."""
        return self._opened_by_feed

    @property
    def connected(self) -> bool:
        """Whether there is a socket right now."""
        return self._socket is not None

    async def read(self) -> AsyncIterator[Item]:
        """Yield frames, connection changes, ticks and calls until `close`."""
        async for item in self.inbox.items():
            if isinstance(item, Frame):
                self.received += 1
                self.last_message = item.receipt_timestamp
                if self.raw_data_callback is not None:
                    await self.raw_data_callback.on_ws_message(
                        self, item.data, item.receipt_timestamp
                    )
            yield item

    async def write(self, msg: str) -> None:
        """Send a text frame; without a socket nothing is sent, the next `Opened` starts over."""
        socket = self._socket
        if socket is None:
            return
        with suppress(ConnectionClosed):
            await socket.send(msg)
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
            self._socket.transport.abort()

    async def close(self) -> None:
        """Stop reading and reconnecting; may be called again."""
        if not self._opened_by_feed:
            return
        self._opened_by_feed = False
        self.inbox.close()
        await self.background.stop()
        if self.raw_data_callback is not None:
            await self.raw_data_callback.on_close(self)

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

    async def _keep_connected(self) -> None:
        attempt = 0
        while True:
            started = self._monotonic()
            reason = await self._one_socket()
            lived = self._monotonic() - started
            attempt = 0 if lived >= STEADY_SECONDS else attempt
            delay = reconnect_delay(attempt, seconds_since_last_attempt=lived, jitter=self._jitter)
            attempt += 1
            LOG.warning("%s: %s; connecting again in %.1f s", self.id, reason, delay)
            await asyncio.sleep(delay)

    async def _one_socket(self) -> str:
        """Connect, read until the socket is lost, and return why."""
        try:
            async with connect_socket(
                self.address,
                ssl=self._tls,
                user_agent_header=self._user_agent,
                proxy=self._proxy,
                max_size=FRAME_LIMIT_BYTES,
                max_queue=SOCKET_QUEUE_FRAMES,
                open_timeout=OPEN_TIMEOUT_SECONDS,
                ping_interval=PING_INTERVAL_SECONDS,
                ping_timeout=PING_TIMEOUT_SECONDS,
                close_timeout=CLOSE_TIMEOUT_SECONDS,
            ) as socket:
                return await self._read_socket(socket)
        except (WebSocketException, OSError, TimeoutError, EOFError) as error:
            self._counters.ws_errors += 1
            return f"cannot connect to {self.address}: {error or type(error).__name__}"

    async def _read_socket(self, socket: ClientConnection) -> str:
        trips = self.watchdog_trips
        self._socket = socket
        self._counters.reconnects += self._was_connected
        self._was_connected = True
        reason = "closed"
        try:
            if self.raw_data_callback is not None:
                await self.raw_data_callback.on_ws_open(self, self._clock())
            await self.inbox.put(Opened())
            while True:
                data = await socket.recv()
                await self.inbox.put(Frame(data, self._clock()))
        except ConnectionClosedOK as closed:
            reason = f"venue closed the socket: {closed}"
        except ConnectionClosed as closed:
            # a socket that the watchdog dropped is counted as a reconnect, not as a venue error
            self._counters.ws_errors += self.watchdog_trips == trips
            reason = f"socket lost: {closed}"
        finally:
            self._socket = None
        await self.inbox.put(Lost(reason))
        return reason
