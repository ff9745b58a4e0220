"""ccxt in its three builds behind one face, so that each test judges the venue three times.

Nothing of ccxt is changed but what its users set: `urls["api"]` and the trusted authority.
"""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import ccxt
import ccxt.pro

from backpack_sandbox import Sandbox
from tests.conformance.node_process import NodeClient, NodeProcess
from tests.conformance.refusals import RefusedError

BUILDS = ("python-sync", "python-async", "node")
STREAMING_BUILDS = ("python-async", "node")


class CcxtClient(Protocol):
    """ccxt's unified interface; method names as in Python, answers as plain JSON values."""

    async def call(self, method: str, *args: Any) -> Any:
        """Raises RefusedError with ccxt's error classes."""
        ...

    async def close(self) -> None:
        """Close its sockets."""
        ...


class PythonSync:
    """`ccxt.backpack` in threads: it blocks, and the venue runs in this process.

    Its option `verify` takes no file, so `requests` reads REQUESTS_CA_BUNDLE.
    """

    def __init__(self, options: dict[str, Any], urls: dict[str, Any], _ca_file: Path) -> None:
        self._exchange = ccxt.backpack(options | {"requests_trust_env": True})
        self._exchange.urls["api"].update(urls)

    async def call(self, method: str, *args: Any) -> Any:
        return await asyncio.to_thread(_plainly, getattr(self._exchange, method), *args)

    async def close(self) -> None:
        self._exchange.session.close()


class PythonAsync:
    """`ccxt.pro.backpack`, which is the asyncio client with streams."""

    def __init__(self, options: dict[str, Any], urls: dict[str, Any], ca_file: Path) -> None:
        self._exchange = ccxt.pro.backpack(options | {"cafile": str(ca_file)})
        self._exchange.urls["api"].update(urls)

    async def call(self, method: str, *args: Any) -> Any:
        try:
            return _json(await getattr(self._exchange, method)(*args))
        except ccxt.BaseError as error:
            raise _refused(error) from error

    async def close(self) -> None:
        await self._exchange.close()


class NodeBuild:
    """`ccxt.pro.backpack` of the npm package."""

    def __init__(self, client: NodeClient) -> None:
        self._client = client

    async def call(self, method: str, *args: Any) -> Any:
        return await self._client.call(camel_case(method), *args)

    async def close(self) -> None:
        await self._client.call("close")


async def open_ccxt(
    build: str, venue: Sandbox, node: Callable[[], NodeProcess], **options: Any
) -> CcxtClient:
    """A client of one of BUILDS that knows `venue` instead of Backpack; `options` as ccxt's."""
    options = {"enableRateLimit": False} | options
    urls = {
        "public": venue.rest_url,
        "private": venue.rest_url,
        "ws": {"public": venue.ws_url, "private": venue.ws_url},
    }
    if build == "node":
        return NodeBuild(await node().open("ccxt", options=options, urls=urls))
    kind = PythonSync if build == "python-sync" else PythonAsync
    return kind(options, urls, venue.ca_file)


def key_options(key_file: Path) -> dict[str, str]:
    """The account in `key_file`, in ccxt's words."""
    pair = json.loads(key_file.read_text())
    return {"apiKey": pair["api_key"], "secret": pair["private_key"]}


def camel_case(name: str) -> str:
    """`fetch_order_book` → `fetchOrderBook`; ccxt keeps OHLCV in capitals."""
    first, *rest = name.split("_")
    return first + "".join("OHLCV" if word == "ohlcv" else word.capitalize() for word in rest)


def _plainly(method: Callable[..., Any], *args: Any) -> Any:
    try:
        return _json(method(*args))
    except ccxt.BaseError as error:
        refused = _refused(error)
    raise refused  # outside, as ccxt's error would keep its connection open


def _json(value: Any) -> Any:
    """Caches and books as the lists and objects that they stand for."""
    return json.loads(json.dumps(value))


def _refused(error: ccxt.BaseError) -> RefusedError:
    return RefusedError(tuple(kind.__name__ for kind in type(error).__mro__), str(error))
