import math
import signal
import time
from dataclasses import replace
from functools import partial

import pytest

from feed_migration.gates.judge import measure
from feed_migration.gates.run import GateRun
from feed_migration.model import Band, Comparison, Criterion, Decision, Gate, Outcome
from feed_migration.prometheus.client import PrometheusSource
from feed_migration.prometheus.promql import selector
from tests.support.conditions import eventually_sync
from tests.support.gate_traces import MemoryLog
from tests.support.prometheus_server import free_port, scraped

AGE = "backpack_feed_symbol_snapshot_age_seconds"
NATIVE = {"instance_id": "feed-00", "variant": "native", "symbol": "SOL-USDC"}
CCXT = {"instance_id": "feed-01", "variant": "ccxt", "symbol": "SOL-USDC"}


@pytest.fixture(scope="module")
def monitoring(tmp_path_factory):
    with scraped(tmp_path_factory.mktemp("prometheus")) as both:
        yield both


@pytest.fixture
def prometheus(monitoring):
    """Prometheus with one fresh native and one ccxt series, scraped after this moment."""
    server, target = monitoring
    target.age.clear()
    target.last_message.clear()
    for labels in (NATIVE, CCXT):
        target.age.labels(**labels).set(0.4)
        target.last_message.labels(**labels).set(time.time())
    after = time.time()
    eventually_sync(lambda: server.query(f"timestamp({selector(AGE, NATIVE)}) > {after}"))
    return server


@pytest.fixture
def target(monitoring):
    return monitoring[1]


def criterion(query=f'{AGE}{{variant="native"}}', **changes):
    return Criterion(
        name="age",
        query=query,
        success=Band(maximum=8),
        failure=Band(minimum=12),
        confirm_interval_seconds=0.3,
        **changes,
    )


def ask(server, one, at=None, timeout_seconds=5.0):
    return PrometheusSource(server.url, timeout_seconds).answer(one, at or time.time())


def test_vector_baseline_and_freshness_come_in_one_answer(prometheus):
    """Labels, value, the control group, and the age by the feed's own clock."""
    one = criterion(baseline_query=f'{AGE}{{variant="ccxt"}}', max_age_seconds=45)
    answer = ask(prometheus, one)
    assert answer.error is None
    ((labels, value),) = answer.series
    assert (dict(labels)["instance_id"], value) == ("feed-00", 0.4)
    assert [value for _, value in answer.baseline] == [0.4]
    assert 0 <= answer.age_seconds < 10


def test_a_query_that_this_prometheus_cannot_read_is_refused_in_its_words(prometheus):
    """A function of a later version; what has no data, or asks another Prometheus, is not."""
    source = PrometheusSource(prometheus.url)
    assert "parse error: unknown function" in source.refusal(
        "mad_over_time(up[5m]) + unheard_of(up)"
    )
    assert source.refusal('nothing{like="this"}') == ""
    assert source.refusal("up + on (job) group_left () up") == ""
    assert PrometheusSource(f"http://127.0.0.1:{free_port()}").refusal("unheard_of(up)") == ""


def test_scalar_nan_and_infinity_are_numbers(prometheus):
    """0/0 is NaN, 1/0 is +Inf, and a bare scalar is one series without labels."""
    assert math.isnan(ask(prometheus, criterion("vector(0) / 0")).series[0][1])
    assert ask(prometheus, criterion("vector(1) / 0")).series == (((), math.inf),)
    assert ask(prometheus, criterion("scalar(vector(7))")).series == (((), 7.0),)


def test_history_answers_as_of_the_time_asked(prometheus, target):
    """A missed tick is asked later and gets the value of its own time."""
    then = time.time()
    target.age.labels(**NATIVE).set(50)
    eventually_sync(lambda: prometheus.query(f'{AGE}{{variant="native"}} > 20'))
    assert ask(prometheus, criterion(), then).series[0][1] == 0.4
    assert ask(prometheus, criterion()).series[0][1] == 50
    assert ask(prometheus, criterion(), then - 3600).series == ()


def test_range_query_answers_as_the_instant_queries_would(prometheus, target):
    """A matrix, turned, is the vectors of its times: value, baseline, age, gaps and NaN."""
    first = time.time()
    for value, seen in ((50.0, "== 50"), (math.nan, "!= {0}"), (3.0, "== 3")):
        target.age.labels(**NATIVE).set(value)
        query = f"{selector(AGE, NATIVE)} {seen.format(selector(AGE, NATIVE))}"
        eventually_sync(partial(prometheus.query, query))
    target.age.remove(*NATIVE.values())
    eventually_sync(lambda: not prometheus.query(selector(AGE, NATIVE)))
    one = criterion(baseline_query=f'{AGE}{{variant="ccxt"}}', max_age_seconds=45)
    count = int((time.time() - first) / 0.05) + 2
    ranged = PrometheusSource(prometheus.url).history(one, first, 0.05, count)
    single = [ask(prometheus, one, first + index * 0.05) for index in range(count)]
    assert [repr(answer) for answer in ranged] == [repr(answer) for answer in single]
    seen = [value for answer in ranged for _, value in answer.series]
    assert {50.0, 3.0} <= set(seen)
    assert any(not answer.series for answer in ranged)


def test_exposures_come_with_a_rate(prometheus):
    """Counts and what they happened in, each side by its own query."""
    comparison = Comparison(
        method="rate_ratio",
        max_increase=1.0,
        min_samples=2,
        exposure_query=f"{AGE} * 10",
        baseline_exposure_query="vector(7)",
    )
    one = criterion(baseline_query="vector(2)", comparison=comparison)
    answer = ask(prometheus, one)
    assert (answer.exposure, answer.baseline_exposure) == (8.0, 7.0)
    empty = replace(comparison, exposure_query="nothing")
    assert ask(prometheus, replace(one, comparison=empty)).exposure is None
    for query in ("sum(", 'label_replace(vector(1e308), "a", "b", "", "") or vector(1e308)'):
        broken = replace(comparison, exposure_query=query)
        assert ask(prometheus, replace(one, comparison=broken)).baseline_error


def test_silent_feed_is_stale_although_its_samples_are_fresh(prometheus, target):
    """Prometheus scrapes the old timestamp anew; the age is counted from the message."""
    target.last_message.labels(**NATIVE).set(time.time() - 100)
    eventually_sync(lambda: ask(prometheus, criterion(max_age_seconds=45)).age_seconds > 90)
    measured = measure(
        criterion(max_age_seconds=45), ask(prometheus, criterion(max_age_seconds=45)), 0.0, 1
    )
    assert measured.outcome is Outcome.NO_DATA


@pytest.mark.parametrize(
    "query", ["sum(", f"{AGE}[1m]", '"text"', f"{AGE} + on() group_left() {AGE}"]
)
def test_refused_and_unfit_queries_are_errors(prometheus, query):
    """A parse error, a range vector, a string, a failed match: Error, never a value."""
    answer = ask(prometheus, criterion(query))
    assert answer.error
    assert "\n" not in answer.error


@pytest.mark.parametrize(
    "symbol", ['x"} or vector(0) #', "a\\", 'b"', "c\nd", "e'}", "{}", 'x",variant="ccxt', "Ω"]
)
def test_label_values_cannot_change_a_query(prometheus, target, symbol):
    """Whatever a symbol is called, the selector selects it alone."""
    labels = {**NATIVE, "symbol": symbol}
    target.age.labels(**labels).set(77)
    query = selector(AGE, labels)
    eventually_sync(lambda: ask(prometheus, criterion(query)).series)
    assert [value for _, value in ask(prometheus, criterion(query)).series] == [77]
    absent = selector(AGE, {**labels, "instance_id": "nobody"})
    answer = ask(prometheus, criterion(absent))
    assert (answer.error, answer.series) == (None, ())


@pytest.mark.alone
def test_hanging_prometheus_costs_one_timeout(prometheus):
    """A stopped process is an Error after the timeout, not a wait."""
    prometheus.send(signal.SIGSTOP)
    try:
        eventually_sync(lambda: prometheus.stopped)
        began = time.monotonic()
        assert "Timeout" in ask(prometheus, criterion(), timeout_seconds=0.3).error
        assert time.monotonic() - began < 5
    finally:
        prometheus.send(signal.SIGCONT)


def test_refused_connection_is_an_error_without_credentials():
    """Nobody listens: Error at once, and no password of the URL in it."""
    answer = PrometheusSource("http://user:secret@127.0.0.1:1", 1.0).answer(criterion(), 0.0)
    assert answer.error
    assert "secret" not in answer.error


def gate(**changes):
    values = {
        "interval_seconds": 0.5,
        "evaluation_delay_seconds": 0.4,
        "min_duration_seconds": 2.0,
        "max_duration_seconds": 60.0,
        "min_coverage": 0.6,
        "blind_limit_seconds": 30.0,
        "criteria": (criterion(baseline_query=f'{AGE}{{variant="ccxt"}}', expect_series=1),),
    }
    return Gate(**{**values, **changes})


def run_of(server, log, started, **changes):
    return GateRun(
        gate=gate(**changes),
        step_name="cutover-10",
        migration_id="mig-1",
        started_unix=started,
        fleet_size=1,
        source=PrometheusSource(server.url, 1.0),
        journal=log,
    )


def tick_until(run, rows):
    """Tick until the run has that many measurements."""
    eventually_sync(lambda: run.tick(time.time()) and len(run.measurements()) >= rows)


def decide(run):
    """Tick until the verdict."""

    def decided():
        verdict = run.tick(time.time())
        return verdict if verdict.final else None

    return eventually_sync(decided, 20)


def test_gate_over_real_metrics_promotes(prometheus):
    """Good series for min_duration: Promote, with the evidence named."""
    verdict = decide(run_of(prometheus, MemoryLog(), time.time() + 0.8))
    assert verdict.decision is Decision.PROMOTE
    assert dict(verdict.reasons[0].series)["instance_id"] == "feed-00"


@pytest.mark.alone
def test_breach_is_a_rollback_within_interval_delay_and_confirmation(prometheus, target):
    """From the scrape of the breach: one interval, the delay, the second sample."""
    run = run_of(prometheus, MemoryLog(), time.time() + 0.8, min_duration_seconds=60.0)
    tick_until(run, 2)
    target.age.labels(**NATIVE).set(50)
    began = time.time()
    assert decide(run).decision is Decision.ROLLBACK
    # scrape 0.2 + interval 0.5 + delay 0.4 + confirm 0.3, and a busy machine
    assert time.time() - began < 1.4 + 6.0


def test_vanished_native_series_roll_back_while_ccxt_reports(prometheus, target):
    """The series is gone, the control group is there: the feed's fault."""
    run = run_of(prometheus, MemoryLog(), time.time() + 0.8, min_duration_seconds=60.0)
    tick_until(run, 2)
    target.age.remove(*NATIVE.values())
    verdict = decide(run)
    assert verdict.decision is Decision.ROLLBACK
    assert "NoData" in verdict.reasons[0].text


def test_killed_prometheus_is_blindness_and_its_return_ends_it(prometheus):
    """Errors while it is away, then good ticks again: no Rollback, a Promote with coverage."""
    log = MemoryLog()
    run = run_of(prometheus, log, time.time() + 0.8, min_duration_seconds=4.0)
    prometheus.kill()
    try:
        tick_until(run, 2)
        assert {one.outcome for one in run.measurements()} == {Outcome.ERROR}
    finally:
        prometheus.start()
    assert decide(run).decision is Decision.PROMOTE


def test_killed_judge_asks_history_for_what_it_missed(prometheus):
    """A new run over the same rows asks the missed ticks of Prometheus, at their own time."""
    log, started = MemoryLog(), time.time() + 0.8
    first = run_of(prometheus, log, started)
    tick_until(first, 1)
    eventually_sync(lambda: time.time() > started + 2.2)
    verdict = decide(run_of(prometheus, log, started))
    assert verdict.decision is Decision.PROMOTE
    assert sum(one.backfilled for one in log.rows.values()) >= 2
