"""Every query of the shipped plans over recorded series, asked of a real Prometheus."""

import shutil
import time
from dataclasses import replace
from pathlib import Path

import pytest

from feed_migration.gates.judge import confirm, measure, needs_confirmation
from feed_migration.model import Outcome, Severity
from feed_migration.plan.reader import load_plan
from feed_migration.prometheus.client import PrometheusSource
from tests.support.prometheus_server import PrometheusServer, free_port
from tests.support.recorded_series import RecordedFleet, write_blocks
from tests.support.scraped_series import ScrapedTarget, remote_write

PLANS = Path(__file__).parents[2] / "plans"
CRITERIA = {
    (plan, one.name): one
    for plan in ("demo", "production")
    for step in load_plan(PLANS / f"{plan}.yaml").steps
    for one in (step.gate.criteria if step.gate else ())
}
LAST = float(int(time.time()) - 7200)
TURN = LAST - 240
BROKEN_AGE = 300.0


def since(value, before=0.0):
    """A value from the turn on."""
    return lambda at: value(at - TURN) if at >= TURN else before


# what goes wrong at TURN, in every native feed
BROKEN = {
    **{
        f"{name}_total/native": since(lambda seconds: 1 + seconds)
        for name in (
            "ws_errors",
            "auth_failures",
            "dropped_messages",
            "trades_lost",
            "sequence_gaps",
            "decode_errors",
            "parity_disagreements",
            "parity_renumberings",
            "parity_unproven",
        )
    },
    **{
        f"{name}_total/native": lambda at: 7.0
        for name in ("messages", "trades", "parity_compared", "parity_proven")
    },
    "symbol_snapshot_age_seconds/native": since(lambda seconds: BROKEN_AGE, 0.4),
    "healthy/native": since(lambda seconds: 0.0, 1.0),
    "private_authenticated/native": since(lambda seconds: 0.0, 1.0),
    "exchange_latency_seconds/native": lambda at: 1.0,
    "handler_latency_seconds/native": lambda at: 5.0,
    "process_start_time_seconds": lambda at: at - at % 10,
    "parity_oldest_pending_seconds/native": since(lambda seconds: BROKEN_AGE),
}


def serving(tmp_path_factory, name, *fleets):
    directory = tmp_path_factory.mktemp(name)
    for fleet in fleets:
        write_blocks(fleet, directory)
    server = PrometheusServer(directory, free_port(), {"scrape_configs": []})
    server.start()
    return server


@pytest.fixture(scope="module")
def servers(tmp_path_factory):
    assert shutil.which("promtool"), "promtool is missing: run tools/setup.sh"
    well = RecordedFleet(LAST - 1200, LAST)
    earlier = RecordedFleet(LAST - 2 * 86_400 - 600, LAST - 2 * 86_400)
    both = [
        serving(tmp_path_factory, "well", well, earlier),
        serving(tmp_path_factory, "broken", replace(well, changes=BROKEN), earlier),
    ]
    yield both
    for server in both:
        server.kill()


def measured(server, one, at):
    return measure(one, PrometheusSource(server.url).answer(one, at), 0.0, fleet_size(one))


def fleet_size(one):
    return 1 if 'role="shadow"' in one.query else 2


@pytest.mark.parametrize("key", CRITERIA, ids="/".join)
def test_healthy_fleet_is_a_success(servers, key):
    """With its control group, its freshness and every instance there."""
    found = measured(servers[0], CRITERIA[key], LAST)
    assert (found.outcome, found.detail) == (Outcome.SUCCESS, "")


@pytest.mark.parametrize("key", CRITERIA, ids="/".join)
def test_broken_fleet_is_not(servers, key):
    """A Failure; of a comparison a value that is worse, or messages that are no more.

    That nothing is compared any more, or nobody knows who is right, proves nothing: the feed that
    is silent may be ccxt, and so may the one that is wrong.
    """
    one = CRITERIA[key]
    found = measured(servers[1], one, LAST)
    if one.comparison is None:
        assert found.outcome is not Outcome.SUCCESS, found
        waits = one.name.endswith(("_compared", "_proven"))
        assert (found.outcome if waits else found.counts_as) is (
            Outcome.INCONCLUSIVE if waits else Outcome.FAILURE
        ), found
    elif one.comparison.method == "rate_ratio":
        assert found.outcome is Outcome.INCONCLUSIVE
        assert found.value > 100
        assert found.baseline_value == 0
    else:
        assert found.value > 5 * found.baseline_value


@pytest.mark.parametrize("key", CRITERIA, ids="/".join)
def test_missing_native_series_are_never_a_success(servers, key):
    """As of a time before the store begins: nothing is there, and nothing passes."""
    found = measured(servers[0], CRITERIA[key], LAST - 86_400)
    assert found.outcome in {Outcome.NO_DATA, Outcome.INCONCLUSIVE}


def test_a_prometheus_that_comes_back_blames_no_feed(tmp_path_factory):
    """After minutes without a scrape: instances come one by one, and a rate needs two samples."""
    back = LAST - 300
    fleet = RecordedFleet(LAST - 1200, LAST, stagger_seconds=3.0, outage=(back - 120, back))
    server = serving(tmp_path_factory, "outage", fleet)
    hard = [
        one
        for (plan, _), one in CRITERIA.items()
        if plan == "production" and one.severity is Severity.HARD
    ]
    try:
        for seconds in range(-70, 30):
            for one in hard:
                found = measured(server, one, back + seconds)
                if needs_confirmation(found):
                    again = measured(server, one, back + seconds + one.confirm_interval_seconds)
                    found = confirm(found, again)
                assert not (found.confirmed and found.counts_as is Outcome.FAILURE), found
    finally:
        server.kill()


ERRORS = ("ws_errors", "auth_failures", "dropped_messages", "trades_lost")
BACK, SCRAPE = LAST - 600, 5.0


def scraping(tmp_path_factory, *, missed=(), silent_seconds=0.0, count, started, times):
    """A Prometheus over two instances of which the first has counted errors, as of a time each.

    Scrapes at the `missed` times before BACK fail; for `silent_seconds` before it there were none.
    """
    targets = []
    for name, counted in (("feed-000", count), ("feed-001", lambda at: 0.0)):
        process = {"instance": f"{name}:9600", "job": "feed", "role": "handler"}
        feed = {"instance_id": name, "variant": "native"}
        target = ScrapedTarget(process)
        for at in times:
            if at - BACK in missed:
                target.failed(at)
            elif not BACK - silent_seconds <= at < BACK:
                begun = started(at) if name == "feed-000" else BACK - 90_000
                samples = [(f"backpack_feed_{e}_total", feed, counted(at)) for e in ERRORS]
                target.scraped(at, [("process_start_time_seconds", {}, begun), *samples])
        targets.append(target)
    flags = ["--web.enable-remote-write-receiver"]
    directory = tmp_path_factory.mktemp("scraped")
    server = PrometheusServer(directory, free_port(), {"scrape_configs": []}, flags)
    server.start()
    remote_write(server.url, targets)
    return server


def scrapes(first, last):
    return [BACK + SCRAPE * index for index in range(int(first / SCRAPE), int(last / SCRAPE) + 1)]


def outcomes_at(server, seconds):
    """What each criterion on error counters comes to at a time, as the gate would ask it."""
    for name in ERRORS:
        one = CRITERIA["production", name]
        found = measured(server, one, BACK + seconds)
        if needs_confirmation(found):
            again = measured(server, one, BACK + seconds + one.confirm_interval_seconds)
            found = confirm(found, again)
        yield found


@pytest.mark.parametrize(
    ("gap", "clean"),
    [
        ({"missed": (-5,)}, True),
        ({"missed": (-10, -5)}, True),
        ({"missed": tuple(range(-75, 0, 5))}, False),
        ({"silent_seconds": 90}, False),
        ({"silent_seconds": 360}, False),
    ],
    ids=["one failed scrape", "two", "75 s of them", "Prometheus away 90 s", "away 6 min"],
)
def test_an_old_error_is_none_anew_after_a_gap(tmp_path_factory, gap, clean):
    """One error twenty minutes ago: no gap in the scrapes makes a new one of it."""
    server = scraping(
        tmp_path_factory,
        **gap,
        count=lambda at: 1.0,
        started=lambda at: BACK - 3600,
        times=scrapes(-1200, 120),
    )
    try:
        for seconds in range(-80, 115, 4):
            for found in outcomes_at(server, seconds):
                assert not (found.confirmed and found.counts_as is Outcome.FAILURE), found
                assert found.outcome is Outcome.SUCCESS or not clean, found
        assert {found.outcome for found in outcomes_at(server, 114)} == {Outcome.SUCCESS}
    finally:
        server.kill()


@pytest.mark.parametrize(
    ("before", "gap", "times"),
    [
        (None, {}, scrapes(-30, 60)),
        (1.0, {}, scrapes(-1200, 60)),
        (0.0, {"missed": tuple(range(-75, 0, 5))}, scrapes(-1200, 60)),
        (0.0, {"silent_seconds": 360}, scrapes(-1200, 60)),
        (1.0, {"silent_seconds": 360}, scrapes(-1200, 60)),
    ],
    ids=["first start", "restart", "failed scrapes", "Prometheus away", "restart while it is away"],
)
def test_an_error_is_seen_whoever_watched(tmp_path_factory, before, gap, times):
    """In a process's first minute, also where the one before had as many, and within a gap."""
    born = BACK - (200 if gap else 32)
    restarted = before != 0.0
    server = scraping(
        tmp_path_factory,
        **gap,
        count=lambda at: 1.0 if at >= (born if restarted else BACK - 20) else before,
        started=lambda at: born if restarted and at >= born else BACK - 3600,
        times=times,
    )
    try:
        for found in outcomes_at(server, 10):
            assert (found.outcome, found.confirmed) == (Outcome.FAILURE, True), found
            assert dict(found.series)["instance_id"] == "feed-000"
    finally:
        server.kill()


@pytest.mark.parametrize("born", [-32, -200], ids=["scraped at once", "while Prometheus was away"])
def test_a_new_process_without_errors_passes(tmp_path_factory, born):
    """Whatever the one before it had counted."""
    server = scraping(
        tmp_path_factory,
        silent_seconds=360 if born == -200 else 0,
        count=lambda at: 0.0 if at >= BACK + born else 3.0,
        started=lambda at: BACK + born if at >= BACK + born else BACK - 3600,
        times=scrapes(-1200, 60),
    )
    try:
        for seconds in range(8, 56, 4):
            assert {one.outcome for one in outcomes_at(server, seconds)} == {Outcome.SUCCESS}
    finally:
        server.kill()


SHARES = [key for key in CRITERIA if key[1].endswith("_proven")]


@pytest.fixture(scope="module")
def disputing(tmp_path_factory):
    """A server each: nothing settled in one market, one disagreement in all, one in a hundred."""
    well = RecordedFleet(LAST - 1200, LAST)
    changes = {
        "quiet": {
            "parity_proven_total/QUIET": lambda at: 7.0,
            "parity_unproven_total/QUIET": lambda at: (at - well.first_unix) / 30,
        },
        "once": {
            "parity_proven_total/QUIET": lambda at: 7.0,
            "parity_unproven_total": lambda at: float(at >= LAST - 10),
        },
        "rarely": {"parity_unproven_total": lambda at: (at - well.first_unix) / 20},
    }
    servers = {
        name: serving(tmp_path_factory, name, replace(well, changes=change))
        for name, change in changes.items()
    }
    yield servers
    for server in servers.values():
        server.kill()


@pytest.mark.parametrize("key", SHARES, ids="/".join)
@pytest.mark.parametrize(
    ("name", "outcome"),
    [
        ("quiet", Outcome.INCONCLUSIVE),
        ("once", Outcome.SUCCESS),
        ("rarely", Outcome.SUCCESS),
    ],
)
def test_what_nobody_can_settle_proves_nothing_in_any_market(disputing, key, name, outcome):
    """A busy market hides no quiet one; one late answer, or one in a hundred, breaks nothing."""
    one = CRITERIA[key]
    if name == "quiet" and key[0] == "demo":
        one = replace(one, query=one.query.replace("[20s]", "[5m]"))  # as many in its window
    assert measured(disputing[name], one, LAST).outcome is outcome


DOWNSTREAM = CRITERIA["production", "downstream_errors"]


@pytest.mark.parametrize(
    ("instances", "ccxt_instances", "outcome", "exposure"),
    [
        (0, 3, Outcome.SUCCESS, 18_000),
        (2, 1, Outcome.SUCCESS, 6_000),
        (3, 0, Outcome.INCONCLUSIVE, None),
    ],
)
def test_the_watchs_baseline_is_ccxt_wherever_the_ramp_was(
    tmp_path_factory, instances, ccxt_instances, outcome, exposure
):
    """Two days earlier all was ccxt, a third of it was, or nothing was: then nothing is proven."""
    well = RecordedFleet(LAST - 600, LAST, instances=3, ccxt_instances=0)
    earlier = RecordedFleet(
        LAST - 2 * 86_400 - 600,
        LAST - 2 * 86_400,
        instances=instances,
        ccxt_instances=ccxt_instances,
        # a bad native feed that was to be its own control group
        changes={"ws_errors_total/native": lambda at: at},
    )
    server = serving(tmp_path_factory, "ramp", well, earlier)
    try:
        found = measured(server, DOWNSTREAM, LAST)
    finally:
        server.kill()
    assert found.outcome is outcome
    if exposure:
        assert (found.baseline_value, found.baseline_exposure) == (
            0,
            pytest.approx(exposure, rel=0.1),
        )


def test_exposures_of_a_rate_are_the_messages_of_each_side(servers):
    """Two native and one ccxt instance at a hundred messages a second each."""
    found = measured(servers[0], CRITERIA["production", "error_rate"], LAST)
    assert found.exposure == pytest.approx(12_000, rel=0.1)
    assert found.baseline_exposure == pytest.approx(6_000, rel=0.1)
