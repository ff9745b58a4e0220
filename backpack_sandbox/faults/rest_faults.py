"""What the active faults do to REST: refusals, and answers from before the fault."""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from aiohttp import web

from backpack_sandbox.constants import API_PREFIX
from backpack_sandbox.faults.registry import REQUEST_FAULTS, FaultName, FaultRegistry
from backpack_sandbox.market.catalog import Market
from backpack_sandbox.market.matching import MatchingEngine
from backpack_sandbox.rest import answers
from backpack_sandbox.rest.public import PublicRest
from backpack_sandbox.truth.ledger import Ledger, PublishedTrade

RETRY_AFTER_SECONDS: Final = 1
_OLD_PATHS: Final = {
    FaultName.OLD_DEPTH: frozenset({f"{API_PREFIX}/depth"}),
    FaultName.OLD_TRADES: frozenset({f"{API_PREFIX}/trades", f"{API_PREFIX}/trades/history"}),
}

type Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class OldTrades:
    """The ledger's trades up to the ids it had when this was made."""

    def __init__(self, ledger: Ledger, last_ids: Mapping[str, int]) -> None:
        self._ledger = ledger
        self._last_ids = last_ids

    def newest_trades(self, symbol: str, limit: int, offset: int = 0) -> Iterable[PublishedTrade]:
        """As `Ledger.newest_trades`."""
        newer = len(self._ledger.trades(symbol, self._last_ids[symbol] + 1))
        return self._ledger.newest_trades(symbol, limit, offset + newer)


@dataclass(frozen=True, slots=True)
class _Copy:
    """The venue as it was at `made_at` (monotonic seconds)."""

    made_at: float
    rest: PublicRest


class RestFaults:
    """Middleware in front of `/api/v1`; `/sandbox` is never touched.

    `clock` is unix seconds, `monotonic` counts the age of old answers.
    """

    def __init__(
        self,
        faults: FaultRegistry,
        catalog: Mapping[str, Market],
        engines: Mapping[str, MatchingEngine],
        ledger: Ledger,
        engine_us: Mapping[str, int],
        *,
        clock: Callable[[], float],
        monotonic: Callable[[], float],
    ) -> None:
        self._faults = faults
        self._catalog = catalog
        self._engines = engines
        self._ledger = ledger
        self._engine_us = engine_us
        self._clock = clock
        self._monotonic = monotonic
        self._copies: dict[int, _Copy] = {}
        self._requests = 0
        faults.listeners.append(self._keep_copies)
        self._keep_copies()

    @web.middleware
    async def middleware(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Answer in the handler's place when a fault hits the request."""
        if not request.path.startswith(f"{API_PREFIX}/"):
            return await handler(request)
        self._requests += 1
        user_agent = request.headers.get("User-Agent", "")
        for fault in self._faults.named(REQUEST_FAULTS):
            if not fault.hits_request(user_agent, self._requests):
                continue
            if fault.name is FaultName.REST_503:
                return answers.unavailable()
            if fault.name is FaultName.REST_429:
                return answers.too_many_requests(RETRY_AFTER_SECONDS)
            if request.path in _OLD_PATHS[fault.name]:
                return await self._old(request, self._copies[fault.fault_id])
        return await handler(request)

    async def _old(self, request: web.Request, copy: _Copy) -> web.Response:
        if request.path == f"{API_PREFIX}/depth":
            answer = await copy.rest.depth(request)
        elif request.path == f"{API_PREFIX}/trades":
            answer = await copy.rest.trades(request)
        else:
            answer = await copy.rest.trades_history(request)
        answer.headers["Age"] = str(int(self._monotonic() - copy.made_at))
        answer.headers["X-Cache"] = "Hit from cloudfront"
        return answer

    def _keep_copies(self) -> None:
        """One copy for each fault that needs one, made when it begins."""
        wanting = {fault.fault_id for fault in self._faults.named(_OLD_PATHS)}
        self._copies = {i: copy for i, copy in self._copies.items() if i in wanting}
        for fault_id in wanting - self._copies.keys():
            self._copies[fault_id] = self._copy()

    def _copy(self) -> _Copy:
        engines = {s: MatchingEngine(e.market, e.state()) for s, e in self._engines.items()}
        last_ids = {symbol: engine.last_trade_id for symbol, engine in engines.items()}
        trades = OldTrades(self._ledger, last_ids)
        rest = PublicRest(self._catalog, engines, trades, dict(self._engine_us), self._clock)
        return _Copy(self._monotonic(), rest)
