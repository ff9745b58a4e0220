"""The venue, put together: one TLS port for REST, websockets and control."""

import asyncio
import errno
import os
import ssl
import time
from collections.abc import Mapping
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from aiohttp import web

from backpack_sandbox.account.credentials import ApiKey, server_context
from backpack_sandbox.account.signing import SignatureVerifier
from backpack_sandbox.config import SandboxConfig
from backpack_sandbox.constants import API_PREFIX, CONTROL_PREFIX, MICROSECONDS
from backpack_sandbox.driver import CATCH_UP_MAX_SECONDS, MarketDriver
from backpack_sandbox.errors import SandboxError
from backpack_sandbox.faults.enforcement import Enforcer
from backpack_sandbox.faults.registry import FaultRegistry
from backpack_sandbox.faults.rest_faults import RestFaults
from backpack_sandbox.market.catalog import build_catalog
from backpack_sandbox.market.exchange import Exchange
from backpack_sandbox.market.perpetuals import Perpetuals
from backpack_sandbox.rest import answers
from backpack_sandbox.rest.account import AccountRest
from backpack_sandbox.rest.control import ControlRest
from backpack_sandbox.rest.derived import MarketDataRest
from backpack_sandbox.rest.public import PublicRest
from backpack_sandbox.sockets.endpoint import SocketEndpoint
from backpack_sandbox.sockets.fanout import Fanout
from backpack_sandbox.state_lock import lock_state_dir
from backpack_sandbox.streams.account_streams import AccountStreams
from backpack_sandbox.streams.klines import KlineStreams
from backpack_sandbox.streams.market_frames import MarketFrames
from backpack_sandbox.streams.periodic import PeriodicStreams
from backpack_sandbox.streams.publisher import DerivedStreams, Publisher
from backpack_sandbox.streams.windows import DepthWindows
from backpack_sandbox.streams.wire import WireEncoder
from backpack_sandbox.truth.book_journal import BookJournal
from backpack_sandbox.truth.ledger import Ledger
from backpack_sandbox.truth.recovery import Recovered, recover, session_books

SHUTDOWN_SECONDS = 2.0


class Sandbox:
    """A running venue: `async with Sandbox(SandboxConfig(state_dir=…)) as venue`.

    Inside the block `rest_url`, `ws_url`, `ca_file` and `api_key_file` tell clients where to go,
    and `catalog`, `exchange`, `ledger`, `books`, `account`, `perpetuals`, `faults` and `driver` are
    the venue's own view.
    Entering raises SandboxError when the port is in use or the state directory is unusable.
    """

    def __init__(self, config: SandboxConfig) -> None:
        self.config = config
        self.catalog = build_catalog()
        self.faults = FaultRegistry(time.monotonic)
        self.fanout = Fanout()
        self.port = config.port

    @property
    def rest_url(self) -> str:
        """Root of REST; paths start with /api/v1."""
        return f"https://{self._client_host}:{self.port}"

    @property
    def ws_url(self) -> str:
        """The one websocket address, for public and private streams."""
        return f"wss://{self._client_host}:{self.port}"

    @property
    def ca_file(self) -> Path:
        """The authority that clients must trust."""
        return self.config.ca_file

    @property
    def api_key_file(self) -> Path:
        """The house account's key pair."""
        return self.config.api_key_file

    def advance(self, seconds: float) -> None:
        """Publish the next `seconds` of model time at once; for a paused venue."""
        self.driver.advance(seconds)

    async def run_until(self, stop: asyncio.Event) -> None:
        """Wait for `stop`; raises at once when the market or the faults break instead."""
        waiter = asyncio.create_task(stop.wait())
        done, _ = await asyncio.wait([waiter, *self._services], return_when=asyncio.FIRST_COMPLETED)
        waiter.cancel()
        for task in done:
            task.result()

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            recovered = self._open_state(stack)
            self._build(recovered)
            await self._listen(stack)
            self._services = [
                asyncio.create_task(self.driver.run()),
                asyncio.create_task(self._enforcer.run()),
            ]
            for service in self._services:
                stack.push_async_callback(_cancel, service)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stop the markets, say 1001 to every client, and close the ledger."""
        await self._stack.aclose()

    @property
    def _client_host(self) -> str:
        return "127.0.0.1" if self.config.host == "0.0.0.0" else self.config.host  # noqa: S104

    def _open_state(self, stack: AsyncExitStack) -> Recovered:
        config = self.config
        try:
            config.state_dir.mkdir(parents=True, exist_ok=True)
            stack.callback(os.close, lock_state_dir(config.state_dir))
            self._tls = _tls(config)
            self._key = ApiKey.load_or_create(config.api_key_file)
            recovered = recover(config.ledger_file, self.catalog)
            self.ledger = stack.enter_context(Ledger(config.ledger_file, recovered.trades))
        except OSError as error:
            raise SandboxError(f"--state-dir {config.state_dir}: {error.strerror}") from error
        return recovered

    def _build(self, recovered: Recovered) -> None:
        config = self.config
        self.exchange = Exchange(
            self.catalog,
            seed=config.seed,
            events_per_second=config.rate,
            trades_per_second=config.trades_per_second,
            resume=recovered.states,
        )
        encoders = {symbol: WireEncoder(market) for symbol, market in self.catalog.items()}
        self._derived = self._derive_streams(encoders, recovered)
        self.account = self._derived.account
        self.publisher = Publisher(
            encoders,
            self.ledger,
            self.fanout,
            self._derived,
            config.clock,
            trades_first=config.trades_first,
        )
        self.exchange.on_second = lambda second, lag_seconds: self.publisher.tick(
            second, min(lag_seconds, CATCH_UP_MAX_SECONDS)
        )
        self.books = BookJournal(self.exchange.engines)
        self.driver = MarketDriver(
            self.exchange,
            self.publisher,
            self.books,
            time.monotonic,
            tick_seconds=config.tick_seconds,
            paused=config.paused,
        )
        self._enforcer = Enforcer(self.fanout, self.faults, time.monotonic, seed=config.seed)
        for name in config.faults:
            self.faults.add(name)

    def _derive_streams(
        self, encoders: Mapping[str, WireEncoder], recovered: Recovered
    ) -> DerivedStreams:
        engines, emit = self.exchange.engines, self.fanout.publish
        frames = {symbol: MarketFrames(engine.market) for symbol, engine in engines.items()}
        self.perpetuals = Perpetuals(engines, self.config.seed)
        periodic = PeriodicStreams(frames, self.perpetuals, emit)
        for trades in recovered.trades.values():
            periodic.trades(trades)
        return DerivedStreams(
            windows=DepthWindows(encoders),
            klines=KlineStreams(frames, self.ledger, emit),
            periodic=periodic,
            account=AccountStreams(recovered.portfolio, engines, emit, self.config.clock),
        )

    async def _listen(self, stack: AsyncExitStack) -> None:
        runner = web.AppRunner(
            self._application(), access_log=None, shutdown_timeout=SHUTDOWN_SECONDS
        )
        stack.push_async_callback(runner.cleanup)
        await runner.setup()
        host, port = self.config.host, self.config.port
        try:
            await web.TCPSite(runner, host, port, ssl_context=self._tls).start()
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                reason = f"port {port} of {host} is already in use; choose another --port"
            else:
                reason = (
                    f"cannot listen on {host}:{port}: {error.strerror or error}; give --host an"
                    " address of this machine, and --port one that this user may take"
                )
            raise SandboxError(reason) from error
        self.port = runner.addresses[0][1]
        self.ledger.begin_session(
            {
                "seed": self.config.seed,
                "started_us": int(self.config.clock() * MICROSECONDS),
                "books": session_books(self.catalog, self.exchange.engines),
            }
        )

    def _application(self) -> web.Application:
        clock = self.config.clock
        verifier = SignatureVerifier([self._key.api_key], clock)
        engines = self.exchange.engines
        public = PublicRest(self.catalog, engines, self.ledger, self.publisher.engine_us, clock)
        control = ControlRest(
            self.catalog,
            engines,
            self.ledger,
            books=self.books,
            faults=self.faults,
            driver=self.driver,
        )
        rest_faults = RestFaults(
            self.faults,
            self.catalog,
            engines,
            self.ledger,
            self.publisher.engine_us,
            clock=clock,
            monotonic=time.monotonic,
        )
        self._sockets = SocketEndpoint(
            self.fanout,
            verifier,
            self.faults,
            time.monotonic,
            ping_interval_seconds=self.config.ping_interval_seconds,
            first_ping_seconds=self.config.first_ping_seconds,
            joined=self._enforcer.join,
            greet=self.account.greet,
        )
        application = web.Application(middlewares=[rest_faults.middleware])
        application.add_routes(public.routes())
        derived = MarketDataRest(
            self.catalog,
            self.ledger,
            self._derived.periodic.days,
            self.perpetuals,
            clock=clock,
            second=lambda: int(self.exchange.model_seconds),
        )
        application.add_routes(derived.routes())
        application.add_routes(AccountRest(verifier, self.faults, self.account).routes())
        application.add_routes(control.routes())
        application.router.add_route("*", "/{path:.*}", self._other_paths)
        application.on_shutdown.append(self._say_goodbye)
        return application

    async def _other_paths(self, request: web.Request) -> web.StreamResponse:
        """Any path that is no endpoint takes a websocket, as the venue's own host does."""
        is_api = request.path.startswith((f"{API_PREFIX}/", f"{CONTROL_PREFIX}/"))
        if not is_api and request.headers.get("Upgrade", "").lower() == "websocket":
            return await self._sockets.serve(request)
        return answers.unknown_path()

    async def _say_goodbye(self, _application: web.Application) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(SHUTDOWN_SECONDS):
                await self._sockets.close_all()


def _tls(config: SandboxConfig) -> ssl.SSLContext:
    try:
        return server_context(config.ca_file, config.ca_key_file, config.host)
    except UnicodeError as error:
        raise SandboxError(
            f"cannot listen on {config.host}: it is no host name; give --host an address of this"
            " machine"
        ) from error


async def _cancel(task: asyncio.Task[None]) -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
