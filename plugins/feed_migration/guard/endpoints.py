"""The guard's /healthz and /metrics, on loopback unless told otherwise."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, override

from feed_migration.guard.process import Health

# A round may wait for a journal that hangs, and for a fleet that comes back
STALE_SECONDS = 15.0
# A rollback waits for every instance; a try that takes this long hangs
STALE_REVERT_SECONDS = 600.0
_PREFIX = "feed_migration_guard_"
_HELP = {
    "last_poll_timestamp_seconds": ("gauge", "End of the guard's last round, unix time"),
    "journal_silent_seconds": ("gauge", "How long the journal has not answered, 0 while it does"),
    "exposed_instances": ("gauge", "Instances that may be on native"),
    "lease_left_seconds": ("gauge", "What is left of the exposure's lease; NaN without exposure"),
    "watching": ("gauge", "1 while the guard judges because nobody else does"),
    "reverting": ("gauge", "1 while the guard takes the fleet back"),
    "reverts_total": ("counter", "Rollbacks that the guard has verified"),
    "failed_reverts_total": ("counter", "Tries of a rollback that did not get there"),
}


def render(health: Health) -> str:
    """Return `health` in Prometheus's text format."""
    left = health.lease_left_seconds
    values = {
        "last_poll_timestamp_seconds": health.polled_unix,
        "journal_silent_seconds": health.journal_silent_seconds,
        "exposed_instances": health.exposed,
        "lease_left_seconds": float("nan") if left is None else left,
        "watching": int(health.watching),
        "reverting": int(health.reverting),
        "reverts_total": health.reverts,
        "failed_reverts_total": health.failed_reverts,
    }
    lines: list[str] = []
    for name, value in values.items():
        kind, text = _HELP[name]
        said = "NaN" if value != value else f"{value:.17g}"  # noqa: PLR0124 - NaN alone differs
        lines += [f"# HELP {_PREFIX}{name} {text}", f"# TYPE {_PREFIX}{name} {kind}"]
        lines += [f"{_PREFIX}{name} {said}"]
    return "\n".join([*lines, ""])


def listening(
    host: str, port: int, health: Callable[[], Health], monotonic: Callable[[], float]
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
            now = health()
            if self.path == "/metrics":
                self.answer(HTTPStatus.OK, "text/plain; version=0.0.4", render(now))
            elif self.path == "/healthz":
                alive = is_alive(now)
                status = HTTPStatus.OK if alive else HTTPStatus.SERVICE_UNAVAILABLE
                shown = {"alive": alive, **asdict(now)}
                del shown["polled_monotonic"]
                self.answer(status, "application/json", json.dumps(shown))
            else:
                self.answer(HTTPStatus.NOT_FOUND, "text/plain", "only /healthz and /metrics\n")

    server = ThreadingHTTPServer((host, port), Handler)
    server.daemon_threads = True
    return _serving(server)


class _Handler(BaseHTTPRequestHandler):
    # a client that sends nothing must not keep its thread
    timeout = 5.0

    def answer(self, status: HTTPStatus, kind: str, text: str) -> None:
        raw = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

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
