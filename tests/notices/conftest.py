"""Senders are threads that nobody waits for: here each ends before the next test begins."""

import threading

import pytest

from tests.support.conditions import eventually_sync


@pytest.fixture(autouse=True)
def no_sender_outlives_its_test(monkeypatch):
    """Else it logs to a stream that is closed by then."""
    monkeypatch.setattr("feed_migration.notices.outside.RETRY_SECONDS", (0.05, 0.05))
    yield
    eventually_sync(lambda: not _senders(), 20, describe=_senders)


def _senders() -> list[str]:
    names = [thread.name for thread in threading.enumerate()]
    return [name for name in names if name.startswith("notices")]
