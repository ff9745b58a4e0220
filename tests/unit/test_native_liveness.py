"""Quiet or dead, when to reconnect, and what a refused signature means."""

import pytest

from backpack_feed.backoff import full_jitter, reconnect_delay
from backpack_feed.native.liveness import Debts, Finding, StreamWatch, connection_is_dead
from backpack_feed.native.private_stream import PrivateState, PrivateStream

CHECK_SECONDS = 5.0


def watch(subscribed_at: float = 100.0) -> StreamWatch:
    return StreamWatch(CHECK_SECONDS, subscribed_at)


def test_a_silent_stream_is_checked_counted_from_its_subscription():
    """Also before the first frame, and not again at once."""
    stream = watch()
    assert not stream.check_due(104.9)
    assert stream.check_due(105.0)
    assert not stream.check_due(106.0)
    assert stream.check_due(110.0)


def test_a_frame_puts_the_check_off():
    """A stream that speaks needs no REST."""
    stream = watch()
    stream.frame(104.0)
    assert not stream.check_due(108.9)
    assert stream.check_due(109.0)


def test_the_same_id_means_quiet():
    """REST knows nothing that the stream did not deliver."""
    stream = watch()
    assert stream.judge(7, 7, 105.0) is Finding.QUIET
    assert stream.quiet_at == 105.0


def test_an_id_that_never_comes_means_dead():
    """REST may lead the socket, so one look is a suspicion and the second a proof."""
    stream = watch()
    assert stream.check_due(105.0)
    assert stream.judge(9, 7, 105.0) is Finding.SUSPECT
    assert not stream.check_due(106.0)
    assert stream.check_due(106.5)
    assert stream.judge(12, 7, 106.5) is Finding.DEAD


def test_a_promise_that_was_kept_is_not_death():
    """The promised id came meanwhile; the newer one is a new promise."""
    stream = watch()
    stream.judge(9, 7, 105.0)
    assert stream.judge(12, 9, 106.5) is Finding.SUSPECT


def test_a_stream_that_stays_dead_is_checked_less_often():
    """A dead venue is not flooded with REST requests; one frame ends that."""
    stream = watch()
    for now in (105.0, 106.5):
        stream.check_due(now)
        stream.judge(9, 7, now)
    stream.resubscribed(107.0)
    assert not stream.check_due(116.9)
    assert stream.check_due(117.0)
    stream.frame(118.0)
    assert stream.check_due(123.0)


def test_rest_behind_the_stream_is_told():
    """The ids may have started over."""
    assert watch().judge(5, 7, 105.0) is Finding.BEHIND_US


@pytest.mark.parametrize(
    ("last_frame_at", "quiet_at", "now", "dead"),
    [
        (None, None, 111.9, False),
        (None, None, 112.0, True),
        (105.0, None, 112.0, False),
        (105.0, None, 117.0, True),
        (None, 111.0, 112.0, False),
        (None, 101.0, 115.0, True),
    ],
)
def test_a_socket_without_frames_is_dead_unless_its_streams_are_quiet(
    last_frame_at, quiet_at, now, dead
):
    """Found within 15 s of the connect or of the last frame, never blamed on a quiet market."""
    stream = watch()
    stream.quiet_at = quiet_at
    assert connection_is_dead(100.0, last_frame_at, [stream], now) is dead


def test_backoff_doubles_up_to_its_cap_and_is_fully_jittered():
    """Anything between zero and the ceiling."""
    ceilings = [
        full_jitter(n, base_seconds=1, cap_seconds=30, jitter=lambda: 1.0) for n in range(7)
    ]
    assert ceilings == [1, 2, 4, 8, 16, 30, 30]
    assert full_jitter(10_000, base_seconds=1, cap_seconds=30, jitter=lambda: 0.5) == 15
    assert full_jitter(5, base_seconds=1, cap_seconds=30, jitter=lambda: 0.0) == 0


@pytest.mark.parametrize(("lived", "delay"), [(0.0, 1.0), (0.4, 0.6), (60.0, 0.0)])
def test_reconnects_start_at_least_a_second_apart(lived, delay):
    """However small the jitter is."""
    waits = reconnect_delay(0, seconds_since_last_attempt=lived, jitter=lambda: 0.0)
    assert waits == pytest.approx(delay)


def test_silence_after_a_signature_is_acceptance():
    """The venue acknowledges nothing."""
    private = PrivateStream()
    private.signed(10.0)
    private.tick(11.9)
    assert not private.authenticated
    private.tick(12.0)
    assert private.authenticated


def test_a_refused_signature_is_tried_once_more_and_then_stops():
    """No retry loop: stopped is final, also after a reconnect."""
    private = PrivateStream()
    private.signed(0.0)
    assert private.refused()
    private.signed(1.0)
    assert not private.refused()
    private.lost()
    private.signed(2.0)
    private.delivered()
    private.tick(100.0)
    assert private.state is PrivateState.STOPPED


def test_acceptance_restores_the_second_try():
    """A key that worked for a day gets its one retry again."""
    private = PrivateStream()
    for now in (0.0, 1000.0):
        private.signed(now)
        assert private.refused()
        private.signed(now + 1)
        private.delivered()
        private.lost()
        assert not private.authenticated


def test_quotes_are_compared_by_whether_rest_shows_them():
    """Differing twice without a frame in between means dead; a frame or the same quote does not."""
    stream = watch()
    assert stream.compare(same=False, now=105.0) is Finding.SUSPECT
    assert stream.compare(same=True, now=106.5) is Finding.QUIET
    assert stream.compare(same=False, now=110.0) is Finding.SUSPECT
    stream.frame(111.0)
    assert stream.compare(same=False, now=116.0) is Finding.SUSPECT
    assert stream.compare(same=False, now=117.5) is Finding.DEAD
    assert stream.deaths == 1


def test_a_stream_that_owes_a_frame_is_dead_after_a_while():
    """Counted from the first cause since it last spoke, also while causes go on."""
    debts = Debts()
    assert not any(debts.overdue("kline", now, 100.0, now) for now in range(101, 113))
    assert debts.overdue("kline", 113.0, 100.0, 113.0)
    assert not debts.overdue("kline", 130.0, 100.0, 130.0)
    assert debts.overdue("kline", 137.0, 100.0, 137.0)


def test_a_stream_that_speaks_after_each_cause_owes_nothing():
    """However long that goes on."""
    debts = Debts()
    for second in range(100, 200):
        assert not debts.overdue("kline", second, second - 1.0, second + 0.5)
    assert not debts.overdue("kline", 200.0, 200.0, 900.0)
