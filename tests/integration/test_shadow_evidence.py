"""What a shadow compared is kept when its pod ends: a pod's own files end with it."""

import json
import socket
import time
from contextlib import closing
from pathlib import Path

import pytest

from feed_migration.deployment import Instance
from feed_migration.fleet.shadow_evidence import keep_evidence
from feed_migration.report.parity import compared, read_parity
from tests.support.http_server import http_server, send
from tests.support.kubernetes_fleet import cluster_fleet

SHADOW = "backpack-feed-shadow-0"


@pytest.fixture
def running(tmp_path):
    with cluster_fleet(tmp_path) as fleet:
        yield fleet


def shadow(name, url):
    return Instance(id=name, url=url, config=Path("none.yaml"))


def test_the_shadows_of_a_cluster_leave_what_they_compared(running):
    """Where console and report look for it, with when that was."""
    folder = running.deployment.parity_folder
    running.fleet.start_shadow(1)
    running.fleet.wait_ready([SHADOW], None, 30)
    assert read_parity(folder) == []
    began = time.time()
    running.fleet.stop_shadow(1)
    (shard,) = read_parity(folder)
    assert (shard.name, shard.problem) == (SHADOW, "")
    assert compared([shard]) == {"trade": (7, 6)}
    assert began - 1 < shard.facts["at"] <= time.time()


def test_shadows_that_are_gone_keep_what_they_left(running, caplog):
    """A rollback stops them once more; that they do not answer then is nothing to tell."""
    folder = running.deployment.parity_folder
    running.fleet.start_shadow(1)
    running.fleet.wait_ready([SHADOW], None, 30)
    running.fleet.stop_shadow(1)
    left = (folder / f"{SHADOW}.json").read_bytes()
    running.fleet.stop_shadow(2)
    assert "parity" not in caplog.text
    assert (folder / f"{SHADOW}.json").read_bytes() == left


@pytest.mark.parametrize(
    "body", [b"[]", b"{}", b'{"parity": 7}', b"\xff", b'{"parity": {'], ids=repr
)
def test_an_odd_answer_is_no_evidence_and_no_error(tmp_path, body, caplog):
    """The shadow still ends; the log says that nothing of it was kept."""
    with http_server(lambda request: send(request, (200, {}, body))) as url:
        keep_evidence([shadow("odd", url)], tmp_path, 1.0)
    assert list(tmp_path.iterdir()) == []
    assert "odd: its parity is not kept" in caplog.text


def test_a_shadow_that_hangs_costs_seconds_and_no_other_its_evidence(tmp_path):
    """The way back waits for it."""
    answer = json.dumps({"parity": {"compared": {"trade": 1}}}).encode()
    with (
        closing(socket.create_server(("127.0.0.1", 0))) as deaf,
        http_server(lambda request: send(request, (200, {}, answer))) as url,
    ):
        hangs = shadow("hangs", f"http://127.0.0.1:{deaf.getsockname()[1]}")
        began = time.monotonic()
        keep_evidence([hangs, shadow("answers", url)], tmp_path, 2.0)
        assert time.monotonic() - began < 20
    (shard,) = read_parity(tmp_path)
    assert (shard.name, shard.facts["at"]) == ("answers", 2.0)


def test_a_folder_that_cannot_be_written_stops_nothing(tmp_path, caplog):
    """A full disk or a file in its place: said, and no more."""
    (tmp_path / "parity").write_text("")
    with http_server(lambda request: send(request, (200, {}, b'{"parity": {}}'))) as url:
        keep_evidence([shadow("one", url)], tmp_path / "parity", 1.0)
    assert "one: its parity is not kept" in caplog.text
