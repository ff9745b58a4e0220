"""Whose clock the guard's queries go by."""

import time

from feed_migration.prometheus.client import PrometheusSource
from feed_migration.prometheus.clock import LOOK_SECONDS, PrometheusClock
from tests.support.prometheus_server import scraped


class Hosts:
    """The guard's two clocks, and that of a Prometheus which is five minutes behind."""

    def __init__(self) -> None:
        self.unix, self.monotonic, self.looks = 1000.0, 7.0, 0
        self.prometheus: float | None = 700.0

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
    """And before its first answer there is only the guard's own clock."""
    hosts = Hosts()
    hosts.prometheus = None
    clock = hosts.clock()
    assert clock() == 1000.0
    hosts.monotonic += LOOK_SECONDS
    hosts.prometheus = 760.0
    assert clock() == 760.0
    hosts.monotonic += LOOK_SECONDS
    hosts.prometheus = None
    assert clock() == 760.0 + LOOK_SECONDS


def test_a_real_prometheus_says_what_time_it_is(tmp_path):
    """And one that is not there says nothing."""
    with scraped(tmp_path) as (server, _):
        before = time.time()
        seen = PrometheusSource(server.url).now_unix()
        assert before - 0.1 <= seen <= time.time() + 0.1
    assert PrometheusSource(server.url).now_unix() is None
