"""What answers at an instance's address, or does not, is told of and never keeps a look waiting."""

import json
import socket
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml

from feed_migration import rollback
from feed_migration.deployment import Instance, load_deployment
from feed_migration.errors import FleetUnavailable
from feed_migration.fleet import snapshot
from feed_migration.fleet.snapshot import read_statuses
from feed_migration.fleet.supervisor import SupervisorFleet
from feed_migration.fleet.supervisor_conf import conf_path
from feed_migration.journal.spool import Spool
from feed_migration.journal.store import Journal
from tests.support.http_server import dripping, http_server, send
from tests.support.migration_plans import begin

SOUND = {
    "instance_id": "feed-00",
    "variant": "native",
    "ready": True,
    "healthy": True,
    "reasons": ["SOL-USDC: late"],
    "pid": 7,
    "started_at": 12.5,
    "metrics": {"messages": {"trades": 3, "l2_book": 4}, "trades": {"SOL-USDC": 2}},
}


def at(url, name="feed-00"):
    return Instance(id=name, url=url, config=Path("feed.yaml"))


def looked_at(url, seconds=10.0):
    (status,) = read_statuses([at(url)], timeout_seconds=seconds)
    return status


def answering(raw, status=200, headers=()):
    return http_server(lambda request: send(request, (status, dict(headers), raw)))


def saying(**more):
    return json.dumps({**SOUND, **more}).encode()


@contextmanager
def swallowing():
    """An address that takes every connection and never says a word."""
    with socket.create_server(("127.0.0.1", 0), backlog=1024) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


def test_a_sound_answer_is_taken_as_it_is():
    """Counts of channels and symbols as their sums."""
    with answering(saying()) as url:
        status = looked_at(f"{url}/behind/a/path")
    assert (status.variant, status.ready, status.healthy) == ("native", True, True)
    assert (status.messages, status.trades, status.pid, status.started_at) == (7, 2, 7, 12.5)
    assert status.reasons == ("SOL-USDC: late",)


ODD = {
    "deep": (b"[" * 100_000, "RecursionError"),
    "digits": (b'{"pid": ' + b"1" * 5000 + b"}", "ValueError"),
    "nan": (saying(pid=float("nan")), "NaN is no number"),
    "infinity": (saying(metrics={"messages": float("inf")}), "Infinity is no number"),
    "beyond a float": (b'{"metrics": {"messages": 1e999}}', "OverflowError"),
    "no moment": (b'{"started_at": ' + b"1" * 400 + b"}", "OverflowError"),
    "reasons": (saying(reasons=5), "its reasons are no list"),
    "no object": (b"[]", "it is no object"),
    "cut off": (saying()[:40], "JSONDecodeError"),
    "no text": (b"\xff\xfe\xfd", "UnicodeDecodeError"),
    "another": (saying(instance_id="feed-09"), "is 'feed-09'"),
    "an unknown feed": (saying(variant="both"), "claims to run 'both'"),
    "a feed of another type": (saying(variant=["ccxt"]), "TypeError"),
}


@pytest.mark.parametrize(("raw", "why"), ODD.values(), ids=ODD)
def test_an_odd_answer_is_silence_that_says_why(raw, why):
    """Nothing of it reaches the caller but one short line."""
    with answering(raw) as url:
        status = looked_at(url)
    assert (status.variant, status.ready, status.pid) == ("unknown", False, 0)
    assert why in status.reasons[0]
    assert len(status.reasons[0]) <= 300


def test_reasons_are_lines_that_can_be_printed():
    """They go into messages for people, however many and long they are."""
    with answering(saying(reasons=["\ud800 half\na letter", "x" * 9000] * 100)) as url:
        status = looked_at(url)
    assert status.reasons[0] == "\\ud800 half a letter"
    assert len(status.reasons) == 100
    assert "".join(status.reasons).encode()
    assert max(map(len, status.reasons)) == 300


@pytest.mark.parametrize(
    ("status", "why"), [(302, "HTTP 302"), (404, "HTTP 404"), (503, "HTTP 503")]
)
def test_only_a_200_is_an_answer(status, why):
    """No redirect is followed."""
    with answering(saying(), status, {"Location": "/elsewhere"}) as url:
        assert looked_at(url).reasons == (why,)


def test_an_answer_without_an_end_is_given_up(monkeypatch):
    """By its bytes, where it comes quickly."""
    monkeypatch.setattr(snapshot, "ANSWER_BYTES", 1000)
    with answering(b" " * 2000) as url:
        assert looked_at(url).reasons == ("more than 1000 bytes",)


@pytest.mark.parametrize(
    "first",
    [
        pytest.param(b"HTTP/1.0 200 OK\r\nContent-Length: 100000\r\n\r\n", id="body"),
        pytest.param(b"HTTP/1.0 200 OK\r\nX-Header: ", id="header"),
        pytest.param(b"", id="status"),
    ],
)
def test_a_dripping_answer_costs_one_time_out(first):
    """A byte now and then passes every time-out that is for one receive."""
    with dripping(first) as url:
        began = time.monotonic()
        status = looked_at(url, 0.5)
        assert time.monotonic() - began < 15
    assert status.reasons == ("no answer within 0.5 s",)


def test_who_does_not_listen_and_who_speaks_another_protocol_are_told_apart():
    """What a person does about it differs."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        nobody = f"http://127.0.0.1:{server.getsockname()[1]}"
    assert looked_at(nobody).reasons == ("does not listen",)
    with http_server(lambda request: request.wfile.write(b"SSH-2.0\r\n\r\n")) as url:
        assert looked_at(url).reasons[0].startswith("speaks no HTTP (BadStatusLine")


def test_a_fleet_that_swallows_packets_is_soon_looked_at():
    """One after the other they would cost a time-out each, and the rollback waits for the look."""
    with swallowing() as lost, answering(saying(instance_id="last")) as url:
        fleet = [*(at(lost, f"feed-{i}") for i in range(300)), at(url, "last")]
        began = time.monotonic()
        *silent, last = read_statuses(fleet)
        assert time.monotonic() - began < 20
    assert {status.variant for status in silent} == {"unknown"}
    assert last.ready


def test_a_name_server_that_hangs_holds_nobody_up(monkeypatch):
    """No time-out ends such a question, so the look does without."""
    ends, resolve = threading.Event(), socket.getaddrinfo

    def hanging(host, *more, **options):
        if host == "lost.example":
            ends.wait(30)
        return resolve("127.0.0.1", *more, **options)

    monkeypatch.setattr(socket, "getaddrinfo", hanging)
    try:
        with answering(saying()) as url:
            fleet = [at("http://lost.example:9", "lost"), at(url)]
            lost, found = read_statuses(fleet, look_seconds=5.0)
    finally:
        ends.set()
    assert lost.reasons == ("not heard within 5 s",)
    assert found.ready


@pytest.fixture
def hostile(tmp_path):
    """Four instances on native whose files can be written, and a server in the place of one."""

    @contextmanager
    def fleet(server):
        with answering(saying(instance_id="feed-01")) as sound, server() as odd:
            urls = [odd, sound, "http://127.0.0.1:9", "http://127.0.0.1:9"]
            document = {
                "prometheus_url": "http://127.0.0.1:9",
                "fleet": {"kind": "supervisor", "socket": "none.sock"},
                "instances": [{"id": f"feed-{i:02}", "url": url} for i, url in enumerate(urls)],
            }
            (tmp_path / "deployment.yaml").write_text(yaml.safe_dump(document))
            deployment = load_deployment(tmp_path, {})
            driver = SupervisorFleet(deployment)
            driver.write_initial("native")
            yield deployment, driver

    return fleet


@pytest.mark.parametrize(
    "server",
    [
        lambda: dripping(b"HTTP/1.0 200 OK\r\n\r\n"),
        lambda: answering(b"[" * 100_000),
        lambda: answering(saying(reasons=5)),
        swallowing,
    ],
    ids=["drip", "deep", "reasons", "swallow"],
)
def test_one_odd_instance_does_not_keep_the_fleet_from_going_back(hostile, server):
    """It looks before it acts: every flag is on ccxt, and the journal has it from the beginning."""
    with hostile(server) as (deployment, fleet):
        journal = Journal(deployment.journal_url, home=deployment.home)
        migration_id = begin(journal)
        spool = Spool(deployment.spool_file)
        with pytest.raises(FleetUnavailable):  # nothing supervises them
            rollback.revert(fleet, journal, migration_id, "guard:x", "breach", spool=spool)
        files = [conf_path(deployment, one.id).read_text() for one in deployment.instances]
    assert all('NATIVE="false"' in text for text in files)
    kinds = [event.kind for event in journal.events(migration_id)]
    assert kinds[1] == "rollback_started"
    assert kinds[2] == "rollback_act"
