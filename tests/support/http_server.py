"""An HTTP server on loopback that answers every GET by one function."""

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, HTTPServer, ThreadingHTTPServer
from typing import Any

type Reply = tuple[int, Mapping[str, str], bytes]
"""Status, headers and body."""


@contextmanager
def http_server(answer: Callable[[BaseHTTPRequestHandler], None]) -> Iterator[str]:
    """Yield the URL of a server whose GETs `answer` writes itself, each in a thread of its own."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answer(self)

        def log_message(self, *arguments: Any) -> None:
            return

    with serving(ThreadingHTTPServer(("127.0.0.1", 0), Handler)) as url:
        yield url


@contextmanager
def serving(server: HTTPServer) -> Iterator[str]:
    """Yield the URL of a server of one's own while it answers."""
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def dripping(first: bytes) -> Iterator[str]:
    """A server that writes `first`, then a byte every twentieth of a second for ever."""
    stop = threading.Event()

    def answer(request: BaseHTTPRequestHandler) -> None:
        with suppress(OSError):
            request.wfile.write(first)
            while not stop.wait(0.05):
                request.wfile.write(b" ")

    with http_server(answer) as url:
        try:
            yield url
        finally:
            stop.set()


def send(request: BaseHTTPRequestHandler, reply: Reply) -> None:
    """Write a whole reply."""
    status, headers, body = reply
    request.send_response(status)
    for name, value in headers.items():
        request.send_header(name, value)
    request.send_header("Content-Length", str(len(body)))
    request.end_headers()
    request.wfile.write(body)
