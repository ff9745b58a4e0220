"""The endpoints of the venue's REST interface, typed (protocol section 4)."""

import re
from collections.abc import Callable, Mapping
from operator import attrgetter
from typing import Final, NamedTuple

from backpack_feed.constants import DEPTH_LIMIT, TRADES_LIMIT
from backpack_feed.errors import AuthenticationError, DecodeError, NotFoundError
from backpack_feed.wire.account_answers import RestFill, RestPosition
from backpack_feed.wire.account_messages import AssetCapital
from backpack_feed.wire.clock_drift import ClockDrift, measured_drift
from backpack_feed.wire.decode import (
    decode_capital,
    decode_depth_snapshot,
    decode_fills,
    decode_klines,
    decode_markets,
    decode_positions,
    decode_rest_trades,
)
from backpack_feed.wire.messages import DepthSnapshot, MarketRow, RestKline, TradeMessage
from backpack_feed.wire.rest_cache import age_seconds, is_stale
from backpack_feed.wire.rest_errors import json_object
from backpack_feed.wire.rest_requests import RestRequests
from backpack_feed.wire.rest_transport import tls_context

__all__ = ["BALANCE_QUERY", "CAPITAL_PATH", "BackpackRest", "MarketsAnswer", "tls_context"]

CAPITAL_PATH: Final = "/api/v1/capital"
BALANCE_QUERY: Final = "balanceQuery"
FILLS_LIMIT: Final = 1000
DRIFT_SAMPLES: Final = 3

_UNIX_MS = re.compile(rb"\s*[0-9]{1,16}\s*")


class MarketsAnswer(NamedTuple):
    """`/markets` with what a caller needs to decide whether it replaces the list it has.

    `unreadable` rows are missing from `rows`. With `stale` the list is up to an hour old.
    """

    rows: list[MarketRow]
    unreadable: int
    age_seconds: int
    stale: bool


class BackpackRest(RestRequests):
    """One venue's REST interface; use as an async context manager or call `close`.

    Every error is a `FeedError` whose class says what to do; see `RestRequests` for when a request
    is sent again.
    """

    async def markets(self) -> list[MarketRow]:
        """Return the readable rows of `/markets`, of every market type."""
        return (await self.markets_answer()).rows

    async def markets_answer(self) -> MarketsAnswer:
        """Return `/markets` with its age: during an outage an old list is better than none."""
        path = "/api/v1/markets"
        answer = await self.answer(path, accept_stale=True)
        age = age_seconds(answer.headers)
        return MarketsAnswer(*decode_markets(answer.body), age, is_stale(path, age))

    async def depth(self, symbol: str, limit: int = DEPTH_LIMIT) -> DepthSnapshot:
        """Return the book of the venue symbol; without a limit the venue's default varies."""
        params = {"symbol": symbol, "limit": str(limit)}
        return decode_depth_snapshot(await self.get("/api/v1/depth", params))

    async def trades(
        self, symbol: str, limit: int = TRADES_LIMIT, *, fresh: bool = False
    ) -> list[TradeMessage]:
        """Return the newest trades of the venue symbol, oldest first.

        They may be 10 seconds old, unless `fresh` ones are asked for, past the cache.
        """
        params = {"symbol": symbol, "limit": str(limit)}
        body = await self.get("/api/v1/trades", params, fresh=fresh)
        return decode_rest_trades(body, symbol)

    async def trade_history(
        self, symbol: str, offset: int, limit: int = TRADES_LIMIT
    ) -> list[TradeMessage]:
        """Return `limit` trades behind the `offset` newest ones, oldest first, past the cache.

        The venue admits 30 of these requests a minute; more of them wait for their turn here.
        """
        params = {"symbol": symbol, "limit": str(limit), "offset": str(offset)}
        body = await self.get("/api/v1/trades/history", params, fresh=True)
        return decode_rest_trades(body, symbol)

    async def time_ms(self) -> int:
        """Return the venue's clock in unix milliseconds."""
        body = await self.get("/api/v1/time")
        if not _UNIX_MS.fullmatch(body):
            raise DecodeError("value", "/api/v1/time did not answer with a number")
        return int(body)

    async def clock_drift(self, clock: Callable[[], float]) -> ClockDrift:
        """Compare `clock` (unix seconds) with the venue's; for `Signer.follow`.

        The quickest of a few answers counts: the first one has the handshakes in it.
        """
        samples = []
        for _ in range(DRIFT_SAMPLES):
            asked_at = clock()
            venue_ms = await self.time_ms()
            samples.append(measured_drift(asked_at, clock(), venue_ms))
        return min(samples, key=attrgetter("uncertainty_ms"))

    async def status(self) -> str:
        """Return `Ok` or `Maintenance`."""
        return str(json_object(await self.get("/api/v1/status")).get("status", ""))

    async def klines(
        self, symbol: str, interval: str, from_seconds: int, to_seconds: int
    ) -> list[RestKline]:
        """Return the candles of the venue symbol that start in the time, oldest first.

        `interval` is the venue's name. They come past the cache, which may be minutes behind, and
        the running one may be among them. Times are unix seconds; the venue admits 30 of these
        requests a minute.
        """
        times = {"startTime": str(from_seconds), "endTime": str(to_seconds)}
        params = {"symbol": symbol, "interval": interval, **times}
        return decode_klines(await self.get("/api/v1/klines", params, fresh=True))

    async def capital(self) -> dict[str, AssetCapital]:
        """Return the balances per asset; signed."""
        return decode_capital(await self._signed(CAPITAL_PATH, BALANCE_QUERY))

    async def positions(self) -> list[RestPosition]:
        """Return the open positions; signed.

        Raises `NotFoundError` only for an unknown path: the venue's own 404 means that there are
        none.
        """
        try:
            body = await self._signed("/api/v1/position", "positionQuery")
        except NotFoundError as error:
            if error.code:
                return []
            raise
        return decode_positions(body)

    async def fills(
        self, from_ms: int, offset: int = 0, limit: int = FILLS_LIMIT
    ) -> list[RestFill]:
        """Return fills of the account since `from_ms` (unix milliseconds), a page of them; signed.

        The venue gives the newest first, as far as is known.
        """
        params = {"from": str(from_ms), "limit": str(limit), "offset": str(offset)}
        body = await self._signed("/wapi/v1/history/fills", "fillHistoryQueryAll", params)
        return decode_fills(body)

    async def _signed(
        self, path: str, instruction: str, params: Mapping[str, str] | None = None
    ) -> bytes:
        """Return the body of a signed GET.

        If the venue refuses our time, the signer follows the venue's clock and signs once more.
        """
        try:
            return await self.get(path, params, instruction=instruction)
        except AuthenticationError as error:
            if self.signer is None or not error.blames_clock:
                raise
            self.signer.follow(await self.clock_drift(self.signer.clock))
            return await self.get(path, params, instruction=instruction)
