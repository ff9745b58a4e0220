"""What /healthz says of a guard that works, hangs, or reverts."""

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
