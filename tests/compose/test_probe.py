"""The health check of our own containers, against real servers on loopback."""

import http.server
import subprocess
import sys
import threading
from contextlib import contextmanager

import pytest

from tests.compose.files import REPOSITORY

PROBE = REPOSITORY / "deploy/docker/probe.py"
HEALTH = b'{"triggerer": {"status": "healthy"}, "scheduler": {"status": "unhealthy"}}'


@contextmanager
def answering(status, body):
    """A server that answers everything alike; yields its address."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_arguments):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/health"
        server.shutdown()


def probe(*arguments):
    return subprocess.run(
        [sys.executable, PROBE, *arguments], capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize(
    ("status", "body", "part", "healthy"),
    [
        (200, b"", (), True),
        (503, b"", (), False),
        (200, HEALTH, ("triggerer",), True),
        (200, HEALTH, ("scheduler",), False),
        (200, HEALTH, ("dag_processor",), False),
        (200, b"no JSON", ("triggerer",), False),
    ],
)
def test_only_what_says_so_is_healthy(status, body, part, healthy):
    """Exit 0, or 1 with the reason in one line."""
    with answering(status, body) as url:
        done = probe(url, *part)
    assert done.returncode == (0 if healthy else 1)
    assert len(done.stderr.splitlines()) == (0 if healthy else 1)


def test_what_does_not_listen_is_not_healthy():
    """As while it starts."""
    with answering(200, b"") as url:
        pass
    done = probe(url)
    assert (done.returncode, len(done.stderr.splitlines())) == (1, 1)
