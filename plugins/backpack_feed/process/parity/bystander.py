"""A third listener to the venue's public streams: it delivers nothing, it only remembers.

Its socket is neither feed's, so what goes wrong on the way to one feed does not reach it. It keeps
nothing but raw frames (`raw.py`); after a lost socket or an unreadable frame it begins anew.
"""

import asyncio
import logging
import random
import ssl
from collections.abc import Callable, Mapping

import aiohttp

from backpack_feed.backoff import full_jitter
from backpack_feed.constants import DEPTH, FRAME_LIMIT_BYTES, VERSION
from backpack_feed.constants import TRADE as TRADE_STREAM
from backpack_feed.errors import DecodeError
from backpack_feed.process.parity.raw import RawMarket
from backpack_feed.wire.decode import decode
from backpack_feed.wire.messages import DepthMessage, TradeMessage
from backpack_feed.wire.rest_addresses import Proxy

LOG = logging.getLogger(__name__)

USER_AGENT = f"backpack-parity/{VERSION}"
HEARTBEAT_SECONDS = 10.0
BACKOFF_CAP_SECONDS = 30.0


class Bystander:
    """Hears `markets` (venue symbol → what is remembered) until cancelled.

    `subscribed` while its socket is open. That it hears nothing is no error: then less is known.
    """

    def __init__(
        self,
        markets: Mapping[str, RawMarket],
        *,
        ws_url: str,
        tls: ssl.SSLContext,
        proxy: Proxy | None = None,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self.subscribed = False
        self.connections = 0
        self._markets = markets
        self._ws_url = ws_url
        self._tls = tls
        self._proxy = proxy
        self._jitter = jitter

    async def run(self) -> None:
        """Connect, subscribe and listen, again and again."""
        attempt = 0
        while True:
            try:
                await self._listen()
                attempt = 0
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                LOG.warning("parity's own socket: %s", type(error).__name__)
                attempt += 1
            finally:
                self.subscribed = False
                for market in self._markets.values():
                    market.book.forget()
            delay = full_jitter(
                attempt, base_seconds=1.0, cap_seconds=BACKOFF_CAP_SECONDS, jitter=self._jitter
            )
            await asyncio.sleep(1.0 + delay)

    async def _listen(self) -> None:
        proxy = self._proxy
        connector = aiohttp.TCPConnector(ssl=self._tls)
        async with (
            aiohttp.ClientSession(
                connector=connector, headers={"User-Agent": USER_AGENT}
            ) as session,
            session.ws_connect(
                self._ws_url,
                heartbeat=HEARTBEAT_SECONDS,
                max_msg_size=FRAME_LIMIT_BYTES,
                proxy=proxy.url if proxy else None,
                proxy_headers=proxy.headers if proxy else None,
            ) as socket,
        ):
            streams = [f"{kind}.{v}" for v in self._markets for kind in (DEPTH, TRADE_STREAM)]
            await socket.send_json({"method": "SUBSCRIBE", "params": streams})
            self.connections += 1
            self.subscribed = True
            async for frame in socket:
                if frame.type in (aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY):
                    self._take(frame.data)

    def _take(self, frame: str | bytes) -> None:
        try:
            message = decode(frame).data
        except DecodeError:
            # nobody knows of which market it was; a hole in the ids will tell
            return
        if isinstance(message, DepthMessage) and message.symbol in self._markets:
            self._markets[message.symbol].book.delta(message)
        elif isinstance(message, TradeMessage) and message.symbol in self._markets:
            self._markets[message.symbol].trades.trade(message)
