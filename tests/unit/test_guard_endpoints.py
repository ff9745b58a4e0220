"""What /healthz says of a guard that works, hangs, or reverts."""

import socket
import struct
import threading

import pytest
import requests
from prometheus_client import CollectorRegistry

from feed_migration.guard.endpoints import STALE_REVERT_SECONDS, STALE_SECONDS, listening
from feed_migration.guard.sight import Health

NOW = 1000.0


def status(health):
    registry = CollectorRegistry()
    with listening("127.0.0.1", 0, lambda: health, registry, lambda: NOW) as port:
        return requests.get(f"http://127.0.0.1:{port}/healthz", timeout=5).status_code


@pytest.mark.parametrize(
    ("age_seconds", "reverting", "said"),
    [
        (STALE_SECONDS - 1.0, False, 200),
        (STALE_SECONDS + 1.0, False, 503),
        (STALE_SECONDS + 1.0, True, 200),
        (STALE_REVERT_SECONDS + 1.0, True, 503),
    ],
)
def test_it_is_well_as_long_as_its_rounds_end(age_seconds, reverting, said):
    """A rollback may take minutes; one that hangs for ever must be restarted like any other."""
    assert status(Health(polled_monotonic=NOW - age_seconds, reverting=reverting)) == said


def test_it_is_not_well_before_its_first_round():
    """However young the host is."""
    assert status(Health()) == 503


def test_a_scraper_that_hangs_up_leaves_no_traceback(capfd):
    """A broken pipe is the other side's affair; the next one is answered as ever."""
    asked, gone = threading.Event(), threading.Event()

    def health():
        asked.set()
        assert gone.wait(5)
        return Health(polled_monotonic=NOW)

    with listening("127.0.0.1", 0, health, CollectorRegistry(), lambda: NOW) as port:
        with socket.create_connection(("127.0.0.1", port), 5) as scraper:
            # closing sends a reset, as a killed process does
            scraper.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            scraper.sendall(b"GET /healthz HTTP/1.1\r\nHost: guard\r\n\r\n")
            assert asked.wait(5)
        gone.set()
        answer = requests.get(f"http://127.0.0.1:{port}/healthz", timeout=5)
        assert answer.status_code == 200
    assert capfd.readouterr().err == ""
