"""GET /metrics, /healthz, /readyz and /snapshot of one FeedHandler process."""

import errno
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import msgspec
from aiohttp import web
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from backpack_feed.process.config import MetricsConfig
from backpack_feed.refusal import ListenError

Status = Callable[[], dict[str, Any]]


def build_app(status: Status, registry: CollectorRegistry) -> web.Application:
    """Return the application; `status` is the body of /snapshot (see handler.py)."""

    async def metrics(_request: web.Request) -> web.Response:
        body = generate_latest(registry)
        return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE_LATEST})

    def probe(flag: str) -> Callable[[web.Request], Any]:
        async def answer(_request: web.Request) -> web.Response:
            now = status()
            body = {key: now[key] for key in ("instance_id", "healthy", "ready", "reasons")}
            return _json(body, 200 if now[flag] else 503)

        return answer

    async def snapshot(_request: web.Request) -> web.Response:
        return _json(status(), 200)

    app = web.Application()
    app.router.add_get("/metrics", metrics)
    app.router.add_get("/healthz", probe("healthy"))
    app.router.add_get("/readyz", probe("ready"))
    app.router.add_get("/snapshot", snapshot)
    return app


@asynccontextmanager
async def listening(app: web.Application, where: MetricsConfig) -> AsyncIterator[int]:
    """Serve `app`; yields the port. Raises `ListenError` naming the port and the remedy."""
    runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=1.0)
    await runner.setup()
    try:
        site = web.TCPSite(runner, where.host, where.port, reuse_address=True)
        try:
            await site.start()
        except (OSError, UnicodeError) as error:
            raise _cannot_listen(where, error) from error
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


def _cannot_listen(where: MetricsConfig, error: OSError | UnicodeError) -> ListenError:
    if isinstance(error, (socket.gaierror, UnicodeError)) or error.errno == errno.EADDRNOTAVAIL:
        return ListenError(
            f"metrics.host: {where.host} is no address of this host: choose one of its addresses,"
            " such as 127.0.0.1"
        )
    return ListenError(
        f"metrics.port: cannot listen on {where.host}:{where.port}: {_reason(error)}:"
        " stop what uses it or choose another port"
    )


def _reason(error: OSError) -> str:
    return (error.strerror or str(error)).rpartition(": ")[2]


def _json(body: dict[str, Any], status: int) -> web.Response:
    return web.Response(
        body=msgspec.json.encode(body), status=status, content_type="application/json"
    )
