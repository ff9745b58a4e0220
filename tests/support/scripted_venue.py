"""A venue on loopback TLS that does exactly what a test says: frames, closes, silence, statuses."""

import asyncio
import json
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import trustme
from aiohttp import WSMsgType, web

SOL = {
    "symbol": "SOL_USDC", "baseSymbol": "SOL", "quoteSymbol": "USDC", "marketType": "SPOT",
    "orderBookState": "Open", "visible": True,
}  # fmt: skip
BTC = SOL | {"symbol": "BTC_USDC_PERP", "baseSymbol": "BTC", "marketType": "PERP"}


def depth_frame(update_id: int, symbol: str = "SOL_USDC", **changes: Any) -> str:
    data = {
        "E": 1790900001026313, "T": 1790900001025249, "U": update_id, "a": [["98.97", "21.37"]],
        "b": [], "e": "depth", "s": symbol, "u": update_id,
    } | changes  # fmt: skip
    return json.dumps({"data": data, "stream": f"depth.{symbol}"})


def trade_frame(trade_id: int | None, symbol: str = "SOL_USDC", **changes: Any) -> str:
    data = {
        "E": 1790900001026313, "T": 1790900001025000, "a": "1", "b": "2", "e": "trade", "m": False,
        "p": "98.97", "q": "1.00", "s": symbol, "t": trade_id,
    } | changes  # fmt: skip
    return json.dumps({"data": data, "stream": f"trade.{symbol}"})


def quote_frame(update_id: int, symbol: str = "SOL_USDC", **changes: Any) -> str:
    data = {
        "A": "21.37", "B": "287.31", "E": 1790900001026313, "T": 1790900001024907, "a": "98.97",
        "b": "98.96", "e": "bookTicker", "s": symbol, "u": update_id,
    } | changes  # fmt: skip
    return json.dumps({"data": data, "stream": f"bookTicker.{symbol}"})


def candle_frame(minute: int, symbol: str = "SOL_USDC", **changes: Any) -> str:
    data = {
        "E": 1790900001026313, "T": f"2026-09-02T16:{minute + 1:02}:00", "X": False, "c": "98.98",
        "e": "kline", "h": "99.01", "l": "98.90", "n": 3, "o": "98.95", "s": symbol,
        "t": f"2026-09-02T16:{minute:02}:00", "v": "5.14",
    } | changes  # fmt: skip
    return json.dumps({"data": data, "stream": f"kline.1m.{symbol}"})


def rest_trade(trade_id: int) -> dict[str, Any]:
    return {
        "id": trade_id, "price": "98.97", "quantity": "1", "quoteQuantity": "98.97",
        "isBuyerMaker": False, "timestamp": 1790900001025,
    }  # fmt: skip


def depth_body(last_update_id: int) -> dict[str, Any]:
    return {
        "asks": [["98.97", "1"], ["99", "2"]], "bids": [["98", "1"], ["98.96", "3"]],
        "lastUpdateId": str(last_update_id), "timestamp": 1790900001024907,
    }  # fmt: skip


@dataclass
class Socket:
    """One websocket that a client opened, and what it sent."""

    ws: web.WebSocketResponse
    user_agent: str
    opened_at: float
    requests: list[dict[str, Any]] = field(default_factory=list)

    async def send(self, frame: str | bytes) -> None:
        await (self.ws.send_bytes(frame) if isinstance(frame, bytes) else self.ws.send_str(frame))

    def subscriptions(self, method: str = "SUBSCRIBE") -> list[str]:
        return [s for r in self.requests if r.get("method") == method for s in r["params"]]


@dataclass
class ScriptedVenue:
    """REST answers are attributes; `script` runs for every websocket, on top of reading it."""

    rest_url: str
    ws_url: str
    ca_file: Path
    rows: list[dict[str, Any]] = field(default_factory=lambda: [SOL, BTC])
    last_update_id: int = 1000
    clock_ahead_seconds: float = 0.0
    trades: list[dict[str, Any]] = field(default_factory=list)
    capital: dict[str, Any] = field(
        default_factory=lambda: {"USDC": {"available": "1", "locked": "0"}}
    )
    answers: dict[str, Any] = field(default_factory=dict)
    failures: dict[str, list[web.Response]] = field(default_factory=dict)
    rest_requests: list[web.Request] = field(default_factory=list)
    sockets: list[Socket] = field(default_factory=list)
    script: Callable[[Socket], Awaitable[None]] | None = None

    def asked(self, path: str) -> int:
        return sum(request.path == path for request in self.rest_requests)

    async def rest(self, request: web.Request) -> web.StreamResponse:
        self.rest_requests.append(request)
        planned = self.failures.get(request.path)
        if planned:
            return planned.pop(0)
        if request.path == "/api/v1/time":
            return web.Response(text=str(int((time.time() + self.clock_ahead_seconds) * 1000)))
        newest_first = sorted(self.trades, key=lambda row: -row["id"])
        limit, offset = (
            int(request.query.get(*key)) for key in (("limit", "100"), ("offset", "0"))
        )
        bodies = {
            "/api/v1/markets": self.rows,
            "/api/v1/assets": [],
            "/api/v1/securities": [],
            "/api/v1/depth": depth_body(self.last_update_id),
            "/api/v1/trades": newest_first[:limit],
            "/api/v1/trades/history": newest_first[offset : offset + limit],
            "/api/v1/status": {"status": "Ok", "message": None},
            "/api/v1/capital": self.capital,
            **self.answers,
        }
        if request.path in bodies:
            return web.json_response(bodies[request.path])
        return web.Response(status=404, text="404 not found")

    async def websocket(self, request: web.Request) -> web.StreamResponse:
        ws = web.WebSocketResponse(heartbeat=None)
        await ws.prepare(request)
        socket = Socket(ws, request.headers.get("User-Agent", ""), time.monotonic())
        self.sockets.append(socket)
        running = asyncio.create_task(self.script(socket)) if self.script else None
        try:
            async for message in ws:
                if message.type is WSMsgType.TEXT:
                    socket.requests.append(json.loads(message.data))
        finally:
            if running is not None:
                running.cancel()
                await asyncio.gather(running, return_exceptions=True)
        return ws


@asynccontextmanager
async def scripted_venue(directory: Path) -> AsyncIterator[ScriptedVenue]:
    """Listen on a free port until the block ends."""
    authority = trustme.CA()
    ca_file = directory / "ca.pem"
    authority.cert_pem.write_to_path(ca_file)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(tls)
    venue = ScriptedVenue("", "", ca_file)
    app = web.Application()
    app.router.add_get("/", venue.websocket)
    app.router.add_get("/{path:.+}", venue.rest)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.5)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls)
        await site.start()
        port = runner.addresses[0][1]
        venue.rest_url, venue.ws_url = f"https://127.0.0.1:{port}", f"wss://127.0.0.1:{port}"
        yield venue
    finally:
        for socket in venue.sockets:
            await socket.ws.close()
        await runner.cleanup()
