"""The guard's /healthz and /metrics, on loopback unless told otherwise."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import asdict
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, override

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from feed_migration.guard.sight import Health

# A round may wait for a journal that hangs, and for a fleet that comes back
STALE_SECONDS = 15.0
# A rollback waits for every instance; a try that takes this long hangs
STALE_REVERT_SECONDS = 600.0


def listening(
    host: str,
    port: int,
    health: Callable[[], Health],
    registry: CollectorRegistry,
    monotonic: Callable[[], float],
) -> AbstractContextManager[int]:
    """Listen at once (raises OSError) and serve in the block, which gets the port; 0: a free one.

    /healthz answers 503 once no round has ended for `STALE_SECONDS`, and while one reverts for
    `STALE_REVERT_SECONDS`.
    """

    def is_alive(now: Health) -> bool:
        limit = STALE_REVERT_SECONDS if now.reverting else STALE_SECONDS
        return monotonic() - now.polled_monotonic < limit

    class Handler(_Handler):
        def do_GET(self) -> None:
            if self.path == "/metrics":
                raw = generate_latest(registry)
                self.answer(HTTPStatus.OK, CONTENT_TYPE_LATEST, raw)
            elif self.path == "/healthz":
                now = health()
                alive = is_alive(now)
                status = HTTPStatus.OK if alive else HTTPStatus.SERVICE_UNAVAILABLE
                shown = {"alive": alive, **asdict(now)}
                del shown["polled_monotonic"]
                self.answer(status, "application/json", json.dumps(shown).encode())
            else:
                self.answer(HTTPStatus.NOT_FOUND, "text/plain", b"only /healthz and /metrics\n")

    server = ThreadingHTTPServer((host, port), Handler)
    server.daemon_threads = True
    return _serving(server)


class _Handler(BaseHTTPRequestHandler):
    # a client that sends nothing must not keep its thread
    timeout = 5.0

    def answer(self, status: HTTPStatus, kind: str, raw: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    @override
    def handle(self) -> None:
        """Answer; who has hung up wants none, and its traceback would hide others in the log."""
        with suppress(ConnectionError):
            super().handle()

    @override
    def log_message(self, *_arguments: Any) -> None:
        """Say nothing: a scrape a second would fill the log."""


@contextmanager
def _serving(server: ThreadingHTTPServer) -> Iterator[int]:
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
