"""Between the deployment and its Prometheus: passes answers on, or makes them what they are not."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import requests

from tests.chaos.nemesis.plan import FLEET

HANG_SECONDS = 60.0
HEALTH = "backpack_feed_healthy"
VALUES = {"nan": "NaN", "doubtful": "0.35"}
type Headers = dict[str, str]


class PrometheusProxy:
    """`mode` is honest, empty, nan, http_503, hang, forged, replayed or doubtful, and may change.

    Forged: as many series as there are instances, and all is 0. Replayed: each question gets its
    last honest answer, as of now. Doubtful: of all questions the one for health gets an answer that
    neither succeeds nor fails.
    """

    def __init__(self, port: int, upstream: str) -> None:
        self.mode = "honest"
        self.url = f"http://127.0.0.1:{port}"
        self.lied = 0
        self._upstream = upstream
        self._known: dict[str, dict[str, Any]] = {}
        self._server = ThreadingHTTPServer(("127.0.0.1", port), _handler(self))
        self._server.daemon_threads = True
        self.closed = threading.Event()

    @contextmanager
    def serving(self) -> Iterator[None]:
        """Answer for the block."""
        thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        thread.start()
        try:
            yield
        finally:
            self.closed.set()
            self._server.shutdown()
            self._server.server_close()

    def answer(self, method: str, target: str, body: bytes, headers: Headers) -> tuple[int, bytes]:
        """Return status and body."""
        mode, path = self.mode, urlsplit(target).path
        if mode == "doubtful" and (
            path.endswith("_range") or HEALTH not in _question(target, body)
        ):
            mode = "honest"
        if mode == "honest" or not path.startswith("/api/v1/query"):
            return self._honest(method, target, body, headers)
        self.lied += 1
        if mode == "hang":
            self.closed.wait(HANG_SECONDS)
        if mode in {"hang", "http_503"}:
            return 503, b"out of order"
        return 200, json.dumps(self._lie(mode, path, _question(target, body))).encode()

    def _honest(self, method: str, target: str, body: bytes, headers: Headers) -> tuple[int, bytes]:
        try:
            reply = requests.request(
                method, self._upstream + target, data=body, headers=headers, timeout=15
            )
        except requests.RequestException as error:
            return 502, type(error).__name__.encode()
        if reply.ok and urlsplit(target).path == "/api/v1/query":
            self.remember(_question(target, body), reply.json())
        return reply.status_code, reply.content

    def remember(self, question: str, reply: dict[str, Any]) -> None:
        """Keep an honest reply for the day it is replayed."""
        self._known[question] = reply

    def forget(self) -> None:
        """Replay nothing of an earlier migration, whose answers may have been bad ones."""
        self._known.clear()

    def _lie(self, mode: str, path: str, question: str) -> dict[str, Any]:
        if mode == "empty" or path.endswith("_range"):
            return _reply("matrix" if path.endswith("_range") else "vector", [])
        value = VALUES.get(mode, "0")
        at = time.time()
        known = self._known.get(question)
        if mode == "replayed" and known is not None and known["data"]["resultType"] == "vector":
            old = known["data"]["result"]
            return _reply("vector", [{**row, "value": [at, row["value"][1]]} for row in old])
        names = [{"instance_id": f"feed-{place:02}"} for place in range(FLEET)]
        return _reply("vector", [{"metric": name, "value": [at, value]} for name in names])


def _reply(kind: str, result: list[Any]) -> dict[str, Any]:
    return {"status": "success", "data": {"resultType": kind, "result": result}}


def _question(target: str, body: bytes) -> str:
    fields = parse_qs(urlsplit(target).query) or parse_qs(body.decode())
    return fields.get("query", [""])[0]


def _handler(proxy: PrometheusProxy) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            kept = ("Content-Type", "Accept")
            headers = {name: self.headers[name] for name in kept if name in self.headers}
            answer = proxy.answer(self.command, self.path, self.rfile.read(length), headers)
            status, content = answer
            try:
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)
            except OSError:
                # who asked has given up
                self.close_connection = True

        do_POST = do_GET  # noqa: N815 - the name that http.server calls

        def log_message(self, *arguments: object) -> None:
            """Say nothing: every scrape of a gate would be a line."""

    return Handler
