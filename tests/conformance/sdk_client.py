"""backpack-exchange-sdk: two REST clients that take `base_url`, and a socket that does not.

The socket writes Backpack's address into itself and connects at once, so it is derived from with
an address that cannot be overwritten. The authority comes from REQUESTS_CA_BUNDLE and
WEBSOCKET_CLIENT_CA_BUNDLE.
"""

import asyncio
import json
import threading

from backpack_exchange_sdk import AuthenticationClient, PublicClient, WebSocketClient
from backpack_exchange_sdk._base.errors import BackpackAPIError


class Client:
    """A REST client in threads: it blocks, and the venue runs in this process."""

    def __init__(self, rest):
        self._rest = rest

    async def call(self, method, *args, **named):
        try:
            return await asyncio.to_thread(getattr(self._rest, method), *args, **named)
        except BackpackAPIError as error:
            error.__context__ = None
            refused = error.with_traceback(None)
        raise refused  # without the frames, which would keep the connection open

    def close(self):
        self._rest.session.close()


def public_client(venue):
    return Client(PublicClient(base_url=f"{venue.rest_url}/"))


def account_client(venue, key_file):
    pair = json.loads(key_file.read_text())
    return Client(
        AuthenticationClient(pair["api_key"], pair["private_key"], base_url=f"{venue.rest_url}/")
    )


class Socket:
    """The websocket client in a thread, with the frames that its callbacks got."""

    def __init__(self, venue, key_file):
        address = venue.ws_url
        self._pair = json.loads(key_file.read_text())
        self._kind = type(
            "WebSocketClient",
            (WebSocketClient,),
            {"base_url": property(lambda _self: address, lambda _self, _ignored: None)},
        )

    async def open(self):
        self._client = await asyncio.to_thread(
            self._kind, self._pair["api_key"], self._pair["private_key"]
        )

    async def subscribe(self, *streams, private=False):
        """Return the list that the payloads of `streams` go to."""
        got = []
        await asyncio.to_thread(self._client.subscribe, list(streams), got.append, private)
        return got

    async def unsubscribe(self, *streams):
        await asyncio.to_thread(self._client.unsubscribe, list(streams))

    async def close(self):
        """End its thread, too: it would print in the middle of another test, and connect again."""
        self._client.ws.on_close = self._client.ws.on_error = None
        socket = self._client.ws.sock
        await asyncio.to_thread(socket.send_close)
        for thread in threading.enumerate():
            if thread.name.endswith("(run_forever)"):
                await asyncio.to_thread(thread.join, 10)
                assert not thread.is_alive()
        socket.shutdown()
