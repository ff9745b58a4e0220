"""Venues that share one authority, and the clients of Node."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import certifi
import pytest

from backpack_sandbox import Sandbox
from backpack_sandbox.account.credentials import ApiKey, server_context
from tests.conformance.ccxt_clients import BUILDS, open_ccxt
from tests.conformance.node_process import NodeProcess
from tests.support.conditions import eventually
from tests.support.sandbox_client import running_venue


@pytest.fixture(scope="session")
def authority(tmp_path_factory) -> Path:
    """A folder with `ca.pem` and `ca.key`, for every venue of this run."""
    folder = tmp_path_factory.mktemp("authority")
    server_context(folder / "ca.pem", folder / "ca.key", "127.0.0.1")
    return folder


@pytest.fixture(scope="session")
def node(authority) -> Iterator[Callable[[], NodeProcess]]:
    """The process for Node's clients, started by the first who asks."""
    started: list[NodeProcess] = []

    def process() -> NodeProcess:
        if not started:
            started.append(NodeProcess(authority / "ca.pem"))
        return started[0]

    yield process
    for one in started:
        one.close()


@pytest.fixture(autouse=True)
def trust(authority, monkeypatch) -> None:
    """The variables and the bundle by which users of these clients add an authority."""
    ca_file = str(authority / "ca.pem")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", ca_file)  # bpx-py, backpack-exchange-sdk, ccxt sync
    monkeypatch.setenv("WEBSOCKET_CLIENT_CA_BUNDLE", ca_file)  # backpack-exchange-sdk's socket
    monkeypatch.setattr(certifi, "where", lambda: ca_file)  # bpx-py's asyncio client


@pytest.fixture
def open_venue(authority, tmp_path):
    """Opens a venue that Node's clients trust too; takes settings of SandboxConfig."""

    @asynccontextmanager
    async def opened(**settings) -> AsyncIterator[Sandbox]:
        state_dir = tmp_path / "venue"
        shutil.copytree(authority, state_dir, dirs_exist_ok=True)
        async with running_venue(state_dir, **settings) as venue:
            yield venue
        # clients in threads and in Node hang up after the venue did; the loop must live till then
        transports = asyncio.get_running_loop()._transports
        await eventually(
            lambda: all(one._sock is None for one in list(transports.values())),
            describe=lambda: [(one, one._sock, one._protocol) for one in transports.values()],
        )

    return opened


@pytest.fixture
async def venue(open_venue) -> AsyncIterator[Sandbox]:
    """A venue at a standstill after two minutes of market."""
    async with open_venue(rate=2.0, trades_per_second=0.5) as venue:
        venue.advance(120)
        yield venue


@pytest.fixture
async def live_venue(open_venue) -> AsyncIterator[Sandbox]:
    """A venue whose markets move by the clock."""
    async with open_venue(paused=False, rate=10.0, trades_per_second=5.0) as venue:
        yield venue


@pytest.fixture
async def open_client(node) -> AsyncIterator:
    """Opens a ccxt for the time of the test; takes a build, a venue, and options of ccxt."""
    async with AsyncExitStack() as stack:

        async def opened(build: str, venue: Sandbox, **options):
            client = await open_ccxt(build, venue, node, **options)
            stack.push_async_callback(client.close)
            return client

        yield opened


@pytest.fixture(params=BUILDS)
def build(request) -> str:
    """Each build of ccxt in turn."""
    return request.param


@pytest.fixture
async def client(build, venue, open_client):
    """A ccxt without a key, at the standing venue."""
    return await open_client(build, venue)


@pytest.fixture
def wrong_key(tmp_path) -> Path:
    """A key file of nobody's account."""
    path = tmp_path / "wrong_key.json"
    ApiKey.load_or_create(path)
    return path
