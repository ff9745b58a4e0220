"""The venue, put together: one TLS port for REST, websockets and control."""

import asyncio
import errno
import os
import ssl
import time
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from aiohttp import web

from backpack_sandbox.account.credentials import ApiKey, ServerCertificates
from backpack_sandbox.config import SandboxConfig
from backpack_sandbox.constants import CONTROL_NAME, HOUSE, MICROSECONDS, TRADER
from backpack_sandbox.errors import SandboxError
from backpack_sandbox.faults.machinery import FaultMachinery
from backpack_sandbox.faults.registry import FaultRegistry
from backpack_sandbox.faults.tls import faulty_context
from backpack_sandbox.floor import TradingFloor
from backpack_sandbox.front import VenueFront
from backpack_sandbox.market.catalog import build_catalog
from backpack_sandbox.rest.edge import http_log
from backpack_sandbox.sockets.fanout import Fanout
from backpack_sandbox.state_lock import lock_state_dir
from backpack_sandbox.truth.recovery import Recovered, session_books
from backpack_sandbox.truth.resume import open_truth

SHUTDOWN_SECONDS = 2.0


class Sandbox:
    """A running venue: `async with Sandbox(SandboxConfig(state_dir=…)) as venue`.

    Inside the block `rest_url`, `ws_url`, `ca_file`, `api_key_file` and `trader_api_key_file` tell
    clients where to go, and `catalog`, `exchange`, `ledger`, `books`, `account`, `accounts`,
    `desk`, `perpetuals`, `faults`, `scenarios` and `driver` are the venue's own view.
    Entering raises SandboxError when the port is in use or the state directory is unusable.
    """

    def __init__(self, config: SandboxConfig) -> None:
        self.config = config
        self.catalog = build_catalog(config.profile)
        self.faults = FaultRegistry(time.monotonic, self.catalog)
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

    @property
    def trader_api_key_file(self) -> Path:
        """The trader account's key pair."""
        return self.config.trader_key_file

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
                asyncio.create_task(self._faulty.enforcer.run()),
            ]
            for service in self._services:
                stack.push_async_callback(_cancel, service)
            stack.push_async_callback(self.scenarios.stop)
            if self.config.scenario:
                self._faulty.play(self.config.scenario)
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
            self._tls = _tls(config, self.faults)
            self._keys = {
                ApiKey.load_or_create(config.api_key_file).api_key: HOUSE,
                ApiKey.load_or_create(config.trader_key_file).api_key: TRADER,
            }
            self.ledger, recovered = open_truth(
                config.ledger_file,
                config.truth_file,
                self.catalog,
                checkpoint_bytes=config.checkpoint_bytes,
            )
            stack.enter_context(self.ledger)
        except OSError as error:
            raise SandboxError(_state_dir_reason(config.state_dir, error)) from error
        return recovered

    def _build(self, recovered: Recovered) -> None:
        config = self.config
        floor = TradingFloor(config, self.catalog, self.ledger, recovered, self.fanout)
        self.exchange, self.driver, self.publisher = floor.exchange, floor.driver, floor.publisher
        self.accounts, self.account, self.desk = floor.accounts, floor.derived.account, floor.desk
        self.perpetuals = floor.perpetuals
        self.books = self.ledger.books
        self._faulty = FaultMachinery(
            self.faults,
            self.catalog,
            self.exchange.engines,
            self.fanout,
            ledger=self.ledger,
            books=self.books,
            engine_us=self.publisher.engine_us,
            market=self.driver,
            clock=config.clock,
            monotonic=time.monotonic,
            seed=config.seed,
        )
        self.scenarios = self._faulty.player
        for name in config.faults:
            self.faults.add(name)
        self._front = VenueFront(
            config,
            floor,
            account_of_key=self._keys,
            fanout=self.fanout,
            faults=self.faults,
            faulty=self._faulty,
        )
        self.application = self._front.application

    async def _listen(self, stack: AsyncExitStack) -> None:
        runner = web.AppRunner(
            self.application, access_log=None, logger=http_log(), shutdown_timeout=SHUTDOWN_SECONDS
        )
        stack.push_async_callback(runner.cleanup)
        await runner.setup()
        host, port = self.config.host, self.config.port
        try:
            site = web.TCPSite(runner, host, port, ssl_context=self._tls)
            await site.start()
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                reason = f"port {port} of {host} is already in use; choose another --port"
            else:
                reason = (
                    f"cannot listen on {host}:{port}: {error.strerror or error}; give --host an"
                    " address of this machine, and --port one that this user may take"
                )
            raise SandboxError(reason) from error
        # before the runner's own shutdown, which reads no client's Close any more
        stack.push_async_callback(self._say_goodbye, site)
        self.port = runner.addresses[0][1]
        self.ledger.begin_session(
            {
                "seed": self.config.seed,
                "started_us": int(self.config.clock() * MICROSECONDS),
                "books": session_books(self.catalog, self.exchange.engines),
            }
        )

    async def _say_goodbye(self, site: web.TCPSite) -> None:
        """Take no more clients, then send every one away; the slow ones are cut off."""
        await site.stop()
        await self._front.sockets.close_all()


def _state_dir_reason(directory: Path, error: OSError) -> str:
    if isinstance(error, FileExistsError | NotADirectoryError):
        return f"--state-dir {directory} is a file, or in one: choose a directory"
    inside = Path(str(error.filename)).name if error.filename else ""
    place = directory / inside if inside and inside != directory.name else directory
    return f"--state-dir {place}: {error.strerror}"


def _tls(config: SandboxConfig, faults: FaultRegistry) -> ssl.SSLContext:
    try:
        certificates = ServerCertificates(
            config.ca_file, config.ca_key_file, config.host, CONTROL_NAME
        )
        return faulty_context(certificates, faults)
    except UnicodeError as error:
        raise SandboxError(
            f"cannot listen on {config.host}: it is no host name; give --host an address of this"
            " machine"
        ) from error


async def _cancel(task: asyncio.Task[None]) -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
