"""Streams with a pace are missed when they fall silent, and are not pestered when they stay dead."""

from itertools import pairwise

import pytest

from backpack_feed.native.cadence import SILENCE_CAP_SECONDS, SILENCE_SECONDS, Cadence

MARK, INTEREST, BOOK = "markPrice.SOL_USDC_PERP", "openInterest.SOL_USDC_PERP", "depth.SOL_USDC"
PATIENCE = SILENCE_SECONDS["markPrice"]


@pytest.fixture
def cadence() -> Cadence:
    cadence = Cadence()
    cadence.opened([MARK, INTEREST, BOOK], 100.0)
    return cadence


def test_silence_counts_from_the_subscription(cadence):
    """A stream that never spoke is missed like one that stopped."""
    assert cadence.overdue(100.0 + PATIENCE - 0.1) == []
    assert cadence.overdue(100.0 + PATIENCE) == [MARK]


def test_a_frame_starts_the_patience_over(cadence):
    """A mark price every second is never overdue."""
    for second in range(60):
        cadence.frame(MARK, 100.0 + second)
        assert cadence.overdue(100.0 + second + 0.9) == []


def test_streams_without_a_pace_are_never_missed(cadence):
    """A quiet book says nothing for minutes, rightly."""
    cadence.frame(BOOK, 100.0)
    cadence.frame("unheard.of", 100.0)
    assert BOOK not in cadence.overdue(1e9)


def test_a_stream_that_stays_dead_is_tried_ever_more_rarely(cadence):
    """A closed market must not be subscribed again every few seconds for ever."""
    tries, now = [], 100.0
    while now < 10_000:
        now += 1
        tries += [now for stream in cadence.overdue(now) if stream == MARK]
    gaps = [later - earlier for earlier, later in pairwise(tries)]
    assert gaps == sorted(gaps)
    assert gaps[-1] == SILENCE_CAP_SECONDS
    cadence.frame(MARK, now)
    assert cadence.overdue(now + PATIENCE) == [MARK]


def test_without_a_socket_nothing_is_missed(cadence):
    """The next subscription starts over."""
    cadence.lost()
    assert cadence.overdue(1e9) == []


def test_a_stream_that_was_dead_on_the_last_socket_keeps_its_patience(cadence):
    """Or a closed market would cost a reconnect every few seconds; a frame ends that."""
    gaps, now = [], 100.0
    for _ in range(6):
        since = now
        while MARK not in cadence.overdue(now):
            now += 1
        gaps.append(now - since)
        cadence.lost()
        cadence.opened([MARK], now)
    assert gaps == [PATIENCE] * 3 + [PATIENCE * 2, PATIENCE * 4, PATIENCE * 8]
    cadence.frame(MARK, now)
    assert cadence.overdue(now + PATIENCE) == [MARK]
