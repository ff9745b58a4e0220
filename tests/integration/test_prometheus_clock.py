"""Whose clock the guard's queries go by."""

import time

import pytest

from feed_migration.errors import ClockAhead, ClockSilent
from feed_migration.prometheus.client import PrometheusSource
from feed_migration.prometheus.clock import AHEAD_SECONDS, LOOK_SECONDS, PrometheusClock
from tests.support.http_server import http_server, send
from tests.support.prometheus_server import scraped


class Hosts:
    """The guard's two clocks, and that of a Prometheus which is five minutes behind."""

    def __init__(self) -> None:
        self.unix, self.monotonic, self.looks = 1000.0, 7.0, 0
        self.prometheus: float | None = 700.0

    def passes(self, seconds):
        self.unix += seconds
        self.monotonic += seconds

    def look(self):
        self.looks += 1
        return self.prometheus

    def clock(self):
        return PrometheusClock(self.look, lambda: self.unix, lambda: self.monotonic)


def test_it_is_the_time_of_prometheus_carried_on():
    """Asked once a minute; a step of the guard's own clock in between changes nothing."""
    hosts = Hosts()
    clock = hosts.clock()
    assert clock() == 700.0
    hosts.unix += 86400.0
    hosts.monotonic += 20.0
    assert clock() == 720.0
    assert hosts.looks == 1
    hosts.monotonic += LOOK_SECONDS
    hosts.prometheus = 900.0
    assert clock() == 900.0


def test_while_prometheus_is_away_the_last_time_is_carried_on():
    """For as long as it takes, and asked for once a minute."""
    hosts = Hosts()
    clock = hosts.clock()
    assert clock() == 700.0
    hosts.prometheus = None
    for minute in (1, 2, 3):
        hosts.monotonic += LOOK_SECONDS
        assert clock() == clock() == 700.0 + minute * LOOK_SECONDS
        assert hosts.looks == 1 + minute


def test_before_the_first_answer_nobody_says_what_time_it_is():
    """The host's own clock may be minutes off and never stands in; every call asks anew."""
    hosts = Hosts()
    hosts.prometheus = None
    clock = hosts.clock()
    for looks in (1, 2, 3):
        with pytest.raises(ClockSilent, match="does not say what time it is") as silent:
            clock()
        assert (silent.value.unix, hosts.looks) == (hosts.unix, looks)
        hosts.passes(1.0)
    hosts.prometheus = 703.0
    assert clock() == 703.0
    hosts.passes(1.0)
    assert (clock(), hosts.looks) == (704.0, 4)


def test_a_jump_ahead_is_not_believed_until_it_is_taken_back():
    """Over an hour that has not been, Prometheus has no sample: no gate may be over by it."""
    hosts = Hosts()
    hosts.prometheus = hosts.unix
    clock = hosts.clock()
    assert clock() == 1000.0
    hosts.passes(LOOK_SECONDS)
    hosts.prometheus = hosts.unix + 3600.0
    for _ in range(3):
        with pytest.raises(ClockAhead, match="clock is 3600 s ahead of this machine's") as ahead:
            clock()
        assert ahead.value.unix == hosts.unix
        hosts.passes(LOOK_SECONDS)
        hosts.prometheus = hosts.unix + 3600.0
    hosts.prometheus = hosts.unix
    assert clock() == hosts.unix


@pytest.mark.parametrize("cause", ["host set back", "host suspended", "a little"])
def test_not_every_difference_is_a_jump(cause):
    """The host's clock was set, or its monotonic one stood still, or it is a correction."""
    hosts = Hosts()
    hosts.prometheus = hosts.unix
    clock = hosts.clock()
    clock()
    hosts.passes(LOOK_SECONDS)
    hosts.prometheus = hosts.unix
    if cause == "host set back":
        hosts.unix -= 3600.0
    elif cause == "host suspended":
        hosts.unix += 3600.0
        hosts.prometheus = hosts.unix
    else:
        hosts.prometheus += AHEAD_SECONDS
    assert clock() == hosts.prometheus


def test_a_real_prometheus_says_what_time_it_is(tmp_path):
    """And one that is not there says nothing."""
    with scraped(tmp_path) as (server, _):
        before = time.time()
        seen = PrometheusSource(server.url).now_unix()
        assert before - 0.1 <= seen <= time.time() + 0.1
    assert PrometheusSource(server.url).now_unix() is None


@pytest.mark.parametrize("said", ["NaN", "+Inf", "-Inf", "soon"])
def test_what_is_no_time_is_no_answer(said):
    """Of a number that is none a clock would never come back."""
    body = f'{{"status":"success","data":{{"resultType":"scalar","result":[1,"{said}"]}}}}'
    with http_server(lambda request: send(request, (200, {}, body.encode()))) as url:
        assert PrometheusSource(url).now_unix() is None
