"""Typed, asynchronous REST client (protocol section 4). TLS is always verified."""

import asyncio
import random
import ssl
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Self

import aiohttp
import msgspec

from backpack_feed.addresses import is_address
from backpack_feed.backoff import full_jitter
from backpack_feed.constants import (
    DEPTH_LIMIT,
    REST_BODY_LIMIT_BYTES,
    TRADES_LIMIT,
    USER_AGENT,
)
from backpack_feed.errors import (
    AuthenticationError,
    ConfigError,
    DecodeError,
    FeedError,
    RetryableError,
    VenueError,
)
from backpack_feed.wire.decode import decode_depth_snapshot, decode_markets, decode_rest_trades
from backpack_feed.wire.messages import DepthSnapshot, MarketRow, TradeMessage
from backpack_feed.wire.signing import Signer

HTTP_OK = 200
HTTP_UNAUTHORIZED = 401
HTTP_TOO_MANY_REQUESTS = 429
HTTP_SERVER_ERROR = 500
RETRY_CAP_SECONDS = 10.0
MESSAGE_LIMIT = 200
_REFUSED_SIGNATURES = ("invalid signature", "request has expired", "invalid timestamp")


def tls_context(ca_file: Path | str | None) -> ssl.SSLContext:
    """Return a verifying context; `ca_file` replaces the public authorities."""
    try:
        return ssl.create_default_context(cafile=None if ca_file is None else str(ca_file))
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(f"ca_file: {ca_file} holds no readable certificate: {error}") from error


class BackpackRest:
    """One venue's REST interface; use as an async context manager or call `close`.

    429, 5xx and transport errors are tried `attempts` times in all with capped, jittered backoff
    (a `Retry-After` is honoured), then raised as `RetryableError`. Refused requests raise
    `VenueError`, refused signatures `AuthenticationError`, unreadable bodies `DecodeError`.
    """

    def __init__(
        self,
        rest_url: str,
        *,
        ca_file: Path | str | None = None,
        signer: Signer | None = None,
        timeout_seconds: float = 10,
        user_agent: str = USER_AGENT,
        attempts: int = 4,
        proxy: str | None = None,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        if not is_address(rest_url, "https"):
            raise ConfigError(f"rest_url: {rest_url} must be https://host[:port]")
        self.rest_url = rest_url.rstrip("/")
        self.signer = signer
        self._tls = tls_context(ca_file)
        self._timeout = aiohttp.ClientTimeout(total=timeout_seconds)
        self._user_agent = user_agent
        self._attempts = attempts
        self._proxy = proxy
        self._jitter = jitter
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections; the client can be used again."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def markets(self) -> list[MarketRow]:
        """Return the readable rows of `/markets`, of every market type."""
        return decode_markets(await self.get("/api/v1/markets"))[0]

    async def depth(self, symbol: str, limit: int = DEPTH_LIMIT) -> DepthSnapshot:
        """Return the book of the venue symbol; without a limit the venue's default varies."""
        params = {"symbol": symbol, "limit": str(limit)}
        return decode_depth_snapshot(await self.get("/api/v1/depth", params))

    async def trades(self, symbol: str, limit: int = TRADES_LIMIT) -> list[TradeMessage]:
        """Return the newest trades of the venue symbol, oldest first."""
        params = {"symbol": symbol, "limit": str(limit)}
        return decode_rest_trades(await self.get("/api/v1/trades", params), symbol)

    async def time_ms(self) -> int:
        """Return the venue's clock in unix milliseconds."""
        body = await self.get("/api/v1/time")
        try:
            return int(body)
        except ValueError:
            raise DecodeError("value", "/api/v1/time is not a number") from None

    async def status(self) -> str:
        """Return `Ok` or `Maintenance`."""
        return str(_json_object(await self.get("/api/v1/status")).get("status", ""))

    async def capital(self) -> dict[str, Any]:
        """Return the balances per asset; signed, so it also proves the key pair."""
        return _json_object(await self.get("/api/v1/capital", instruction="balanceQuery"))

    async def get(
        self, path: str, params: Mapping[str, str] | None = None, *, instruction: str | None = None
    ) -> bytes:
        """Return the body of a GET; with `instruction` each attempt is signed anew."""
        for attempt in range(self._attempts):
            try:
                return await self._get_once(path, params or {}, instruction)
            except RetryableError as error:
                if attempt + 1 == self._attempts:
                    raise
                delay_seconds = error.retry_after_seconds
            if delay_seconds is None:
                delay_seconds = full_jitter(
                    attempt, base_seconds=0.2, cap_seconds=RETRY_CAP_SECONDS, jitter=self._jitter
                )
            await asyncio.sleep(min(delay_seconds, RETRY_CAP_SECONDS))
        raise FeedError("attempts: must be at least 1")

    async def _get_once(
        self, path: str, params: Mapping[str, str], instruction: str | None
    ) -> bytes:
        headers = {"User-Agent": self._user_agent}
        if instruction is not None:
            if self.signer is None:
                raise ConfigError(f"{path}: needs credentials: give a signer")
            headers |= self.signer.headers(instruction, params)
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(ssl=self._tls), timeout=self._timeout
            )
        try:
            async with self._session.get(
                self.rest_url + path,
                params=params,
                headers=headers,
                proxy=self._proxy,
                allow_redirects=False,
            ) as response:
                body = await _bounded_body(response)
                if response.status == HTTP_OK:
                    return body
                raise _refusal(path, response, body)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            # the text alone may be empty, or no more than the address once again
            cause = f"{type(error).__name__}: {error}".removesuffix(": ")
            raise RetryableError(f"{self.rest_url}{path}: {cause}") from error


async def _bounded_body(response: aiohttp.ClientResponse) -> bytes:
    chunks: list[bytes] = []
    size = 0
    async for chunk in response.content.iter_any():
        size += len(chunk)
        if size > REST_BODY_LIMIT_BYTES:
            raise DecodeError("size", f"{response.url.path} answered more than {size} bytes")
        chunks.append(chunk)
    return b"".join(chunks)


def _refusal(path: str, response: aiohttp.ClientResponse, body: bytes) -> FeedError:
    """Two body formats exist: JSON `{"code","message"}` and plain text, also behind a CDN HTML."""
    status = response.status
    try:
        content = _json_object(body)
        code, message = str(content.get("code", "")), str(content.get("message", ""))
    except DecodeError:
        code, message = "", body[:MESSAGE_LIMIT].decode(errors="replace")
    message = message[:MESSAGE_LIMIT]
    if status == HTTP_TOO_MANY_REQUESTS or status >= HTTP_SERVER_ERROR:
        after = response.headers.get("Retry-After", "")
        return RetryableError(
            f"{path}: venue answered {status} {code}: {message}",
            float(after) if after.isdigit() else None,
        )
    signature = code in ("INVALID_SIGNATURE", "UNAUTHORIZED") or status == HTTP_UNAUTHORIZED
    if signature or message.strip().lower() in _REFUSED_SIGNATURES:
        return AuthenticationError(status, code, message)
    return VenueError(status, code, message)


def _json_object(body: bytes) -> dict[str, Any]:
    try:
        return msgspec.json.decode(body, type=dict[str, Any])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise DecodeError("json", "the answer is not a JSON object") from None
