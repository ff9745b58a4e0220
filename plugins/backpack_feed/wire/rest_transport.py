"""One HTTPS exchange at a time: connections, proxy, certificates, bounds. No retries here."""

import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import aiohttp

from backpack_feed.constants import REST_BODY_LIMIT_BYTES
from backpack_feed.errors import ConfigError, DecodeError
from backpack_feed.wire.rest_addresses import Proxy
from backpack_feed.wire.rest_errors import broken_exchange

IDLE_SECONDS: Final = 15.0
"""Idle connections are closed here first, so that few requests meet one that the edge closed."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer, of any status."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def tls_context(ca_file: Path | str | None) -> ssl.SSLContext:
    """Return a verifying context; `ca_file` replaces the public authorities."""
    try:
        return ssl.create_default_context(cafile=None if ca_file is None else str(ca_file))
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(f"ca_file: {ca_file} holds no readable certificate: {error}") from error


class Transport:
    """Pooled connections to one address; certificates are always verified."""

    def __init__(
        self,
        *,
        tls: ssl.SSLContext,
        timeout_seconds: float,
        proxy: Proxy | None,
        body_limit_bytes: int = REST_BODY_LIMIT_BYTES,
    ) -> None:
        self._tls = tls
        self._timeout = aiohttp.ClientTimeout(total=timeout_seconds)
        self._proxy = proxy
        self._body_limit_bytes = body_limit_bytes
        self._session: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        """Close the connections; the next exchange opens new ones."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def get(self, url: str, params: Mapping[str, str], headers: Mapping[str, str]) -> Answer:
        """Send one GET over a pooled or a new connection.

        Raises `UnreachableError`, and `DecodeError` for a body out of bounds.
        """
        if self._session is None:
            self._session = self._new_session()
        return await self._exchange(self._session, url, params, headers)

    async def get_anew(
        self, url: str, params: Mapping[str, str], headers: Mapping[str, str]
    ) -> Answer:
        """As `get`, over a connection that was never used before."""
        async with self._new_session() as session:
            return await self._exchange(session, url, params, headers)

    def _new_session(self) -> aiohttp.ClientSession:
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=self._tls, keepalive_timeout=IDLE_SECONDS),
            timeout=self._timeout,
            cookie_jar=aiohttp.DummyCookieJar(),
            middlewares=(_no_silent_repeat,),
        )

    async def _exchange(
        self,
        session: aiohttp.ClientSession,
        url: str,
        params: Mapping[str, str],
        headers: Mapping[str, str],
    ) -> Answer:
        try:
            async with session.get(
                url,
                params=params,
                headers=headers,
                proxy=self._proxy.url if self._proxy else None,
                proxy_headers=self._proxy.headers if self._proxy else None,
                allow_redirects=False,
            ) as response:
                body = await self._body(response)
                return Answer(response.status, response.headers, body)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            # the library's error carries the headers of the request
            raise broken_exchange(url, error) from None

    async def _body(self, response: aiohttp.ClientResponse) -> bytes:
        chunks: list[bytes] = []
        size = 0
        async for chunk in response.content.iter_any():
            size += len(chunk)
            if size > self._body_limit_bytes:
                limit = self._body_limit_bytes
                raise DecodeError("size", f"{response.url.path} answered more than {limit} bytes")
            chunks.append(chunk)
        return b"".join(chunks)


async def _no_silent_repeat(
    request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
) -> aiohttp.ClientResponse:
    """Name a broken connection here: aiohttp itself would send the request again, unbudgeted."""
    try:
        return await handler(request)
    except aiohttp.ClientConnectorError:
        raise
    except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError) as error:
        address = f"{request.url.origin()}{request.url.path}"
        raise broken_exchange(address, error) from None
