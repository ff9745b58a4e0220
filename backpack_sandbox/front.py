"""The port of a venue: every route, what stands in front of them, and the websocket."""

import time
from collections.abc import Mapping

from aiohttp import web

from backpack_sandbox.account.signing import SignatureVerifier
from backpack_sandbox.config import SandboxConfig
from backpack_sandbox.faults.machinery import FaultMachinery
from backpack_sandbox.faults.registry import FaultRegistry
from backpack_sandbox.floor import TradingFloor
from backpack_sandbox.rest import answers
from backpack_sandbox.rest.cdn import Cdn
from backpack_sandbox.rest.edge import Handler, is_api, no_endpoint, plain_refusals
from backpack_sandbox.rest.market_data import market_data_routes
from backpack_sandbox.rest.public import PublicRest
from backpack_sandbox.rest.rate_limits import RateLimits
from backpack_sandbox.rest.signed import SignedGate
from backpack_sandbox.rest.signed_routes import signed_routes
from backpack_sandbox.rest.truth import TruthRest
from backpack_sandbox.sockets.endpoint import SocketEndpoint
from backpack_sandbox.sockets.fanout import Fanout
from backpack_sandbox.sockets.keepalive import Keepalive


class VenueFront:
    """Serves the floor to clients, as the faults let it.

    `account_of_key` maps each known `X-API-Key` to the name of its account. `application` is ready
    to be run; `sockets` has every websocket.
    """

    def __init__(
        self,
        config: SandboxConfig,
        floor: TradingFloor,
        *,
        account_of_key: Mapping[str, str],
        fanout: Fanout,
        faults: FaultRegistry,
        faulty: FaultMachinery,
    ) -> None:
        self._config = config
        self._floor = floor
        self._faults = faults
        self._faulty = faulty
        verifier = SignatureVerifier(account_of_key, faulty.clock)
        self.sockets = SocketEndpoint(
            fanout,
            verifier,
            Keepalive(
                time.monotonic,
                interval_seconds=config.ping_interval_seconds,
                first_seconds=config.first_ping_seconds,
            ),
            time.monotonic,
            refuses_signatures_of=faulty.clock.refuses_signatures_of,
            joined=faulty.enforcer.join,
            greet=floor.derived.account.greet,
        )
        cache = [Cdn(time.monotonic).middleware] if config.cdn else []
        self.application = web.Application(
            middlewares=[self._while_whole, *cache, faulty.rest.middleware, plain_refusals]
        )
        self.application.add_routes(self._public_routes())
        self.application.add_routes(self._signed_routes(verifier))
        self.application.add_routes(faulty.control.routes())
        truth = TruthRest(floor.catalog, floor.exchange.engines, floor.ledger, floor.accounts)
        self.application.add_routes(truth.routes())
        self.application.router.add_route("*", "/{path:.*}", self._other_paths)

    @web.middleware
    async def _while_whole(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Between a write that failed and the end nobody sees what is in no ledger."""
        return answers.unavailable() if self._floor.driver.failure else await handler(request)

    def _public_routes(self) -> list[web.RouteDef]:
        floor, clock = self._floor, self._faulty.clock
        engines = floor.exchange.engines
        public = PublicRest(floor.catalog, engines, floor.ledger, floor.publisher.engine_us, clock)
        return [
            *public.routes(),
            *market_data_routes(
                floor.catalog,
                engines,
                floor.ledger,
                days=floor.derived.periodic.days,
                perpetuals=floor.perpetuals,
                rates=floor.funding_rates,
                clock=clock,
                second=lambda: int(floor.exchange.model_seconds),
            ),
        ]

    def _signed_routes(self, verifier: SignatureVerifier) -> list[web.RouteDef]:
        config, floor = self._config, self._floor
        limits = RateLimits(
            config.requests_per_minute, config.history_requests_per_minute, time.monotonic
        )
        return signed_routes(
            SignedGate(verifier, limits, refuses_signatures_of=self._faults.refuses_signatures_of),
            floor.catalog,
            floor.exchange.engines,
            floor.accounts,
            floor.desk,
            taker_delay_seconds=config.taker_delay_seconds,
            cancel_accepted=lambda: config.cancel_accepted,
        )

    async def _other_paths(self, request: web.Request) -> web.StreamResponse:
        """Any path that is no endpoint takes a websocket, as the venue's own host does."""
        if not is_api(request.path) and request.headers.get("Upgrade", "").lower() == "websocket":
            return await self.sockets.serve(request)
        return no_endpoint(request)
