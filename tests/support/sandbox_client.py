"""A bare client of the sandbox for its own tests: websockets and aiohttp, nothing of the feeds."""

import asyncio
import base64
import json
import ssl
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
from nacl.signing import SigningKey
from websockets.asyncio.client import ClientConnection, connect

from backpack_sandbox import Sandbox, SandboxConfig

RECEIVE_TIMEOUT_SECONDS = 10.0


@asynccontextmanager
async def running_venue(state_dir: Path, **settings: Any) -> AsyncIterator[Sandbox]:
    """A venue in this process on a free port; paused unless told otherwise."""
    config = SandboxConfig(state_dir=state_dir, **({"paused": True} | settings))
    async with Sandbox(config) as venue:
        yield venue


class WireClient:
    """One websocket of the venue, speaking raw frames."""

    def __init__(self, socket: ClientConnection, seed: SigningKey) -> None:
        self.socket = socket
        self._key = seed

    async def send(self, message: Any) -> None:
        await self.socket.send(message if isinstance(message, str) else json.dumps(message))

    async def subscribe(self, *streams: str, **extra: Any) -> None:
        await self.send({"method": "SUBSCRIBE", "params": list(streams), **extra})

    async def receive(self) -> str:
        async with asyncio.timeout(RECEIVE_TIMEOUT_SECONDS):
            return str(await self.socket.recv())

    async def drain(self) -> list[str]:
        """Every frame that was on its way: the venue answers two bad frames after all of them."""
        await self.send("hello")
        await self.subscribe("depth.1ms.X")
        frames = [await self.receive(), await self.receive()]
        while '"code":4002' not in frames[-2] or '"code":4008' not in frames[-1]:
            frames.append(await self.receive())
        return frames[:-2]

    async def drain_data(self) -> list[dict[str, Any]]:
        return [json.loads(frame) for frame in await self.drain()]

    def signature(self, *, now: float | None = None, window_ms: int = 5000) -> list[str]:
        """The four fields of a signed SUBSCRIBE."""
        timestamp_ms = int((time.time() if now is None else now) * 1000)
        message = f"instruction=subscribe&timestamp={timestamp_ms}&window={window_ms}"
        signed = base64.b64encode(self._key.sign(message.encode()).signature).decode()
        public = base64.b64encode(bytes(self._key.verify_key)).decode()
        return [public, signed, str(timestamp_ms), str(window_ms)]


def signing_key(venue: Sandbox, account: str = "house") -> SigningKey:
    files = {"house": venue.api_key_file, "trader": venue.trader_api_key_file}
    content = json.loads(files[account].read_text())
    return SigningKey(base64.b64decode(content["private_key"]))


def signed_headers(
    venue: Sandbox, instruction: str, age_ms: int = 0, now: float | None = None
) -> dict[str, str]:
    """Headers of a request without parameters; the window is left out, which means 5000."""
    key = signing_key(venue)
    timestamp = str(int((time.time() if now is None else now) * 1000) - age_ms)
    message = f"instruction={instruction}&timestamp={timestamp}&window=5000"
    return {
        "X-API-Key": base64.b64encode(bytes(key.verify_key)).decode(),
        "X-Signature": base64.b64encode(key.sign(message.encode()).signature).decode(),
        "X-Timestamp": timestamp,
    }


def trust(venue: Sandbox) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(venue.ca_file))


@asynccontextmanager
async def wire_client(
    venue: Sandbox, user_agent: str = "tests/1", account: str = "house", **options: Any
) -> AsyncIterator[WireClient]:
    """An open websocket with protocol pings of its own switched off, signing for `account`."""
    async with connect(
        venue.ws_url,
        ssl=trust(venue),
        user_agent_header=user_agent,
        ping_interval=None,
        max_queue=None,
        close_timeout=1,
        **options,
    ) as socket:
        yield WireClient(socket, signing_key(venue, account))


@asynccontextmanager
async def rest_client(
    venue: Sandbox, user_agent: str = "tests/1"
) -> AsyncIterator[aiohttp.ClientSession]:
    """An HTTP session rooted at the venue."""
    connector = aiohttp.TCPConnector(ssl=trust(venue))
    async with aiohttp.ClientSession(
        venue.rest_url, connector=connector, headers={"User-Agent": user_agent}
    ) as session:
        yield session


@dataclass(frozen=True, slots=True)
class SignedAnswer:
    """What REST said: `text` as it came, `json` when that is what it is."""

    status: int
    headers: Mapping[str, str]
    text: str

    @property
    def json(self) -> Any:
        return json.loads(self.text)


class SignedClient:
    """Signed requests of one account, written down from the rules and nothing else."""

    def __init__(self, http: aiohttp.ClientSession, key: SigningKey) -> None:
        self.http = http
        self._key = key

    async def get(self, path: str, instruction: str, **query: Any) -> SignedAnswer:
        """`from_` stands for `from`, which Python keeps for itself."""
        named = {name.rstrip("_"): value for name, value in query.items()}
        return await self.request("GET", path, instruction, query=named)

    async def send(self, method: str, path: str, instruction: str, body: Any) -> SignedAnswer:
        return await self.request(method, path, instruction, body=body)

    async def place(self, **order: Any) -> SignedAnswer:
        return await self.send("POST", "/api/v1/order", "orderExecute", order)

    async def request(
        self,
        method: str,
        path: str,
        instruction: str,
        *,
        query: Mapping[str, Any] | None = None,
        body: Any = None,
        signed: Any = None,
        headers: Mapping[str, str] | None = None,
    ) -> SignedAnswer:
        """`signed` is what the signature is over, when that is not what is sent."""
        params = {name: signed_text(value) for name, value in (query or {}).items()}
        over = signed if signed is not None else (body if body is not None else params)
        made = self.headers(instruction, over)
        content = None if body is None else json.dumps(body).encode()
        if content is not None:
            made["Content-Type"] = "application/json; charset=utf-8"
        async with self.http.request(
            method, path, params=params, data=content, headers=made | dict(headers or {})
        ) as answer:
            return SignedAnswer(answer.status, answer.headers, await answer.text())

    def headers(self, instruction: str, params: Any, *, age_ms: int = 0) -> dict[str, str]:
        """The four headers over one set of parameters, or over a batch of them."""
        timestamp = str(int(time.time() * 1000) - age_ms)
        blocks: Sequence[Any] = params if isinstance(params, list) else [params]
        parts = []
        for block in blocks:
            pairs = [f"{k}={signed_text(v)}" for k, v in sorted(block.items()) if v is not None]
            parts += [f"instruction={instruction}", *pairs]
        message = "&".join([*parts, f"timestamp={timestamp}", "window=5000"])
        return {
            "X-API-Key": base64.b64encode(bytes(self._key.verify_key)).decode(),
            "X-Signature": base64.b64encode(self._key.sign(message.encode()).signature).decode(),
            "X-Timestamp": timestamp,
            "X-Window": "5000",
        }


def signed_text(value: Any) -> str:
    """A parameter as it is signed: booleans in lower case, the rest as it is written."""
    return str(value).lower() if isinstance(value, bool) else str(value)


@asynccontextmanager
async def signed_client(venue: Sandbox, account: str = "trader") -> AsyncIterator[SignedClient]:
    """An HTTP session that signs for `account`."""
    async with rest_client(venue) as http:
        yield SignedClient(http, signing_key(venue, account))
