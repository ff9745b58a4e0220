"""What both feeds answer in the same way, and what the process makes of it."""

import pytest

from backpack_feed import BackpackFeed, CcxtBackpackFeed
from backpack_feed.health import Health
from backpack_feed.process.status import FeedStatus

SYMBOL = "SOL-USDC"


@pytest.fixture(params=[BackpackFeed, CcxtBackpackFeed], ids=["native", "ccxt"])
def feed(request):
    return request.param(symbols=[SYMBOL], channels=["trades", "l2_book"])


def test_both_feeds_answer_under_the_same_keys():
    """A migration compares them key by key."""
    keys = [
        set(kind(symbols=[SYMBOL], channels=["trades"]).metrics_snapshot())
        for kind in (BackpackFeed, CcxtBackpackFeed)
    ]
    assert keys[0] == keys[1]
    assert {"ws_errors", "auth_failures", "dropped_messages", "symbol_snapshot_age"} <= keys[0]


def test_a_feed_that_has_not_started_has_no_book_and_no_socket(feed):
    """Both count from the start of the process, so that it turns unhealthy by itself."""
    snapshot = feed.metrics_snapshot()
    assert set(snapshot["symbol_snapshot_age"]) == {SYMBOL}
    assert snapshot["socket_down_seconds"] > 0
    assert feed.readiness() == {SYMBOL: False}
    reasons = feed.health(max_snapshot_age=0.0).reasons
    assert [reason.partition(":")[0] for reason in reasons] == ["socket", SYMBOL]


class StillFeed:
    """Answers as a healthy feed would, with symbols and channels that nobody configured."""

    def metrics_snapshot(self):
        return {
            "dropped_messages": 1,
            "messages": {"l2_book": 5, "order_info": 2, "depth.X": 1},
            "trades": {"X-USDC": 4},
            "symbol_snapshot_age": {SYMBOL: 1.0, "X-USDC": 2.0},
            "last_message_timestamp": {"X-USDC": 3.0},
        }

    def health(self, max_snapshot_age):
        return Health(healthy=True)


@pytest.fixture
def status():
    class Clock:
        now = 100.0
        dropped = 0

    def make():
        return FeedStatus(
            variant="native",
            feed=StillFeed(),
            symbols=[SYMBOL],
            channels=["trades", "l2_book"],
            max_snapshot_age_seconds=30.0,
            dropped_by_sinks=lambda: Clock.dropped,
            monotonic=lambda: Clock.now,
        )

    return Clock, make()


def test_only_what_is_configured_or_known_gets_into_an_answer(status):
    """The venue's words must not become labels."""
    metrics = status[1].metrics()
    assert metrics["messages"] == {"trades": 0, "l2_book": 5, "order_info": 2}
    assert metrics["trades"] == {SYMBOL: 0}
    assert metrics["symbol_snapshot_age"] == {SYMBOL: 1.0}
    assert metrics["last_message_timestamp"] == {}


def test_a_sink_that_drops_makes_the_feed_unhealthy_for_a_while(status):
    """The feed itself cannot see what its sinks gave up."""
    clock, feed = status
    clock.now += 31.0
    feed.health()
    clock.now += 31.0
    assert feed.health().healthy
    clock.dropped = 2
    (reason,) = feed.health().reasons
    assert reason.startswith("3 messages dropped since the start, the last 0 s ago")
    assert feed.metrics()["dropped_messages"] == 3
    clock.now += 30.5
    assert feed.health().healthy
