"""Prometheus or somebody in its place replies badly, slowly or far too much."""

import json
import math
import time
import tracemalloc
import zlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from urllib.parse import parse_qs, urlsplit

import pytest

from feed_migration.gates.run import GateRun
from feed_migration.model import Band, Criterion, Outcome
from feed_migration.prometheus.client import PrometheusSource
from tests.support.gate_traces import MemoryLog, gate, outcomes
from tests.support.http_server import dripping, http_server, send

CRITERION = Criterion(
    name="age",
    query="age",
    success=Band(maximum=8),
    failure=Band(minimum=12),
    confirm_interval_seconds=0.3,
)


def vector(*values):
    result = [{"metric": {}, "value": [0, value]} for value in values]
    return {"status": "success", "data": {"resultType": "vector", "result": result}}


@pytest.fixture
def scripted():
    """A server that replies (status, headers, body) to everything; yields (url, script).

    `script["asked"]` are the instant queries it got, as (query, unix seconds).
    """
    script = {"reply": (200, {}, b""), "asked": []}

    def answer(request):
        asked = parse_qs(urlsplit(request.path).query)
        if "time" in asked:
            script["asked"].append((asked["query"][0], float(asked["time"][0])))
        send(request, script["reply"])

    with http_server(answer) as url:
        yield url, script


@pytest.mark.parametrize(
    "result",
    [
        None,
        [{}],
        [{"metric": {}, "values": [[5.0, "1"]]}],
        [{"metric": {}, "values": [[-5.0, "1"]]}],
        [{"metric": {}, "values": [[0.0, 1]]}],
        [{"metric": {}, "values": [[0.0]]}],
        [{"metric": {}, "values": [[math.inf, "1"]]}],
        [{"metric": {}, "values": [[10**400, "1"]]}],
    ],
)
def test_broken_range_is_one_error(scripted, result):
    """A sample at a time that nobody asked for, or no sample at all."""
    url, script = scripted
    data = {"resultType": "matrix", "result": result}
    script["reply"] = (200, {}, json.dumps({"status": "success", "data": data}).encode())
    (answer,) = PrometheusSource(url, 2.0).history(CRITERION, 0.0, 1.0, 3)
    assert answer.error
    script["reply"] = (200, {}, json.dumps(vector("0.3")).encode())
    (answer,) = PrometheusSource(url, 2.0).history(CRITERION, 0.0, 1.0, 3)
    assert "vector" in answer.error


@pytest.mark.parametrize("status", [201, 203, 206, 300, 302, 307, 400, 503])
def test_range_under_any_status_but_200_is_an_error(scripted, status):
    """Neither a redirect nor a partial answer is history, however good its body looks."""
    url, script = scripted
    result = [{"metric": {}, "values": [[0.0, "0.3"], [1.0, "0.3"]]}]
    data = {"resultType": "matrix", "result": result}
    body = json.dumps({"status": "success", "data": data, "warnings": ["partial"]}).encode()
    script["reply"] = (status, {"Location": "/elsewhere"}, body)
    (answer,) = PrometheusSource(url, 2.0).history(CRITERION, 0.0, 1.0, 2)
    assert str(status) in answer.error


@pytest.mark.parametrize(
    "reply",
    [
        (200, {}, b""),
        (200, {}, b"<html>"),
        (200, {}, b"null"),
        (200, {}, b"[" * 200_000),
        (200, {}, b'{"status":"success"}'),
        (200, {}, b'{"status":"success","data":{"result":null}}'),
        (200, {}, json.dumps({**vector("0.3"), "warnings": ["partial"]}).encode()),
        (200, {}, json.dumps({**vector("0.3"), "status": "error"}).encode()),
        (200, {}, json.dumps(vector(0.3)).encode()),
        (200, {}, json.dumps(vector("many")).encode()),
        (200, {}, json.dumps(vector("1_0")).encode()),
        (200, {}, json.dumps(vector("\u0663")).encode()),
        (200, {}, json.dumps(vector(None)).encode()),
        (200, {}, b'{"status":"success","data":{"resultType":"vector","result":[{}]}}'),
        (200, {}, b'{"status":"success","data":{"resultType":"vector","result":[1,2,3]}}'),
        (204, {}, b""),
        (302, {"Location": "http://127.0.0.1:1/"}, b""),
        (400, {}, b'{"status":"error"}'),
        (422, {}, b"{}"),
        (503, {"Retry-After": "60"}, b"busy"),
    ],
)
def test_broken_reply_is_an_error(scripted, reply):
    """Nothing but a complete success without warnings is data; there is no retry to wait for."""
    url, script = scripted
    script["reply"] = reply
    began = time.monotonic()
    answer = PrometheusSource(url, 20.0).answer(CRITERION, 0.0)
    assert answer.error
    assert time.monotonic() - began < 10


@pytest.mark.parametrize("ask_for", ["answer", "history"])
def test_dripping_reply_costs_two_timeouts_at_most(ask_for):
    """A byte now and then keeps no gate waiting, however long the body claims to be."""
    with dripping(b"HTTP/1.0 200 OK\r\nContent-Length: 1000000\r\n\r\n") as url:
        source = PrometheusSource(url, 0.5)
        began = time.monotonic()
        if ask_for == "answer":
            answer = source.answer(CRITERION, 0.0)
        else:
            (answer,) = source.history(CRITERION, 0.0, 1.0, 3)
        assert "not whole after 0.5 s" in answer.error
        assert time.monotonic() - began < 8


def test_packed_flood_is_an_error_within_bounds(scripted):
    """A small reply that unpacks to gigabytes is refused after the first 32 MiB."""
    url, script = scripted
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    megabyte = b" " * 2**20
    body = b"".join([*(packer.compress(megabyte) for _ in range(200)), packer.flush()])
    script["reply"] = (200, {"Content-Encoding": "gzip"}, body)
    tracemalloc.start()
    try:
        answer = PrometheusSource(url, 10.0).answer(CRITERION, 0.0)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert "aggregate the query" in answer.error
    assert peak < 200 * 2**20


def test_empty_result_is_an_answer(scripted):
    """`{"status":"success","data":{"result":[]}}` is no data, and no error."""
    url, script = scripted
    script["reply"] = (200, {}, b'{"status":"success","data":{"result":[]}}')
    answer = PrometheusSource(url, 2.0).answer(replace(CRITERION, baseline_query="x"), 0.0)
    assert (answer.error, answer.series, answer.baseline) == (None, (), ())


def test_criteria_that_share_a_query_ask_it_once(scripted):
    """A baseline of all, side by side as the criteria of a tick are, or one after the other."""
    url, script = scripted
    script["reply"] = (200, {}, json.dumps(vector("0.3")).encode())
    source = PrometheusSource(url, 2.0)
    criteria = [replace(CRITERION, query=f"q{n}", baseline_query="base") for n in range(6)]
    with ThreadPoolExecutor(3) as pool:
        answers = list(pool.map(lambda one: source.answer(one, 7.0), criteria))
    assert {answer.baseline for answer in answers} == {(((), 0.3),)}
    assert sorted(script["asked"]) == [("base", 7.0), *((f"q{n}", 7.0) for n in range(6))]
    source.answer(criteria[0], 8.0)
    assert script["asked"][-2:] == [("q0", 8.0), ("base", 8.0)]


def test_a_query_that_fails_fails_once_for_all_and_is_asked_again_later(scripted):
    """Ten criteria wait for one timeout, and the retry of a second later is a new one."""
    url, script = scripted
    script["reply"] = (503, {}, b"")
    now = [0.0]
    source = PrometheusSource(url, 2.0, monotonic=lambda: now[0])
    assert all("503" in source.answer(CRITERION, 7.0).error for _ in range(2))
    assert script["asked"] == [("age", 7.0)]
    now[0] += 1.1
    script["reply"] = (200, {}, json.dumps(vector("0.3")).encode())
    assert source.answer(CRITERION, 7.0).series == (((), 0.3),)
    assert script["asked"] == [("age", 7.0), ("age", 7.0)]


def test_what_is_asked_again_is_asked_anew_and_once_for_all(scripted):
    """A judge that asks a failed tick once more must not be given the failure it has seen."""
    url, script = scripted
    script["reply"] = (503, {}, b"")
    source = PrometheusSource(url, 2.0, monotonic=lambda: 0.0)
    assert "503" in source.answer(CRITERION, 7.0).error
    script["reply"] = (200, {}, json.dumps(vector("0.3")).encode())
    found = [source.answer(CRITERION, 7.0, again=True).series for _ in range(2)]
    assert found == [(((), 0.3),)] * 2
    assert script["asked"] == [("age", 7.0), ("age", 7.0)]


def test_a_missed_tick_that_prometheus_drops_once_costs_no_coverage():
    """It is busy for one query of one missed tick, and answers the others: each tick is measured."""
    started, dropped = 1_790_000_000.0, []

    def answer(request):
        asked = parse_qs(urlsplit(request.path).query)
        at = float(asked.get("time", ["0"])[0])
        drops = at == started + 15.0 and not dropped
        if drops:
            dropped.append(at)
        good = {"metric": {"instance_id": "feed-00"}, "value": [at, "0.3"]}
        data = {"resultType": "vector", "result": [good]}
        body = json.dumps({"status": "success", "data": data}).encode()
        is_range = "time" not in asked
        send(request, (503, {}, b"busy") if drops or is_range else (200, {}, body))

    log = MemoryLog()
    with http_server(answer) as url:
        for seconds in (0.0, 45.0):
            GateRun(
                gate=gate(CRITERION, evaluation_delay_seconds=0.0),
                step_name="shadow",
                migration_id="m",
                started_unix=started,
                fleet_size=1,
                source=PrometheusSource(url, 2.0),
                journal=log,
            ).tick(started + seconds)
    assert dropped
    assert outcomes(log.measurements("", "")) == [Outcome.SUCCESS] * 4
