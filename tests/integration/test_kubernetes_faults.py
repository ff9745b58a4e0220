"""An API server that refuses, breaks off, hangs or lies: what the driver makes of it."""

import logging
import threading
import time
from dataclasses import replace

import pytest

from feed_migration.errors import FleetUnavailable, NotReady
from feed_migration.fleet.choice import open_fleet
from feed_migration.fleet.kubernetes import KubernetesFleet
from feed_migration.fleet.kubernetes_api import KubernetesApi
from tests.support.kubernetes_fleet import cluster_fleet
from tests.support.kubernetes_server import TOKEN

PASSING = [429, 500, 503, "reset", "lost"]


@pytest.fixture
def running(tmp_path):
    with cluster_fleet(tmp_path) as fleet:
        yield fleet


def hurried(running, **settings):
    """A driver with other patience, on the cluster's clock."""
    kubernetes = replace(running.deployment.fleet.kubernetes, **settings)
    fleet = replace(running.deployment.fleet, kubernetes=kubernetes)
    cluster = running.cluster
    deployment = replace(running.deployment, fleet=fleet)
    return KubernetesFleet(deployment, sleep=cluster.sleep, monotonic=cluster.monotonic)


@pytest.mark.parametrize("method", ["GET", "PATCH", "DELETE"])
@pytest.mark.parametrize("fault", [*PASSING, 409])
def test_what_is_refused_for_now_is_asked_again(running, method, fault):
    """Also where the act was done and only the answer was lost: nothing is done twice."""
    if (method, fault) == ("GET", 409):
        # no read is answered so
        fault = 503
    running.server.api.faults.extend([(method, fault)] * 2)
    running.fleet.set_variant(running.ids[:2], "native", epoch=1)
    running.fleet.wait_ready(running.ids[:2], "native", 30)
    assert running.native() == set(running.ids[:2])
    assert not running.server.api.faults
    assert max(running.cluster.deletions.values()) == 1


def test_the_servers_wish_to_wait_is_respected(running):
    """429 with Retry-After: 1 is not asked again within that second."""
    before = running.cluster.now
    running.server.api.faults.append(("GET", 429))
    running.fleet.epoch()
    assert running.cluster.now - before >= 1


def test_a_server_that_is_down_is_an_error_after_the_patience(running):
    """Named, with a remedy; and the fleet's own statuses still come from the handlers."""
    running.server.api.down = True
    before = running.cluster.now
    with pytest.raises(FleetUnavailable, match="API server does not answer"):
        running.fleet.set_variant(running.ids, "ccxt", epoch=2)
    assert 3 < running.cluster.now - before < 12
    assert all(status.ready for status in running.fleet.instances())
    running.fleet.wait_ready(running.ids, "ccxt", 5)
    assert "no log" in running.fleet.log_tails(running.ids[:1], 5)[running.ids[0]][0]


def test_a_server_that_hangs_is_given_up_after_the_timeout(running):
    """A stopped API server must not stop the caller for ever."""
    fleet = hurried(running, request_seconds=0.3, patience_seconds=0.1)
    running.server.api.faults.extend([("", "hang")] * 4)
    with pytest.raises(FleetUnavailable, match="does not answer"):
        fleet.epoch()


def test_while_waiting_an_api_that_fails_now_and_then_does_no_harm(running):
    """The handlers' own word counts then."""
    running.fleet.set_variant(running.ids[:1], "native", epoch=1)
    running.server.api.faults.extend([("GET", 500)] * 3)
    running.fleet.wait_ready(running.ids[:1], "native", 30)


def test_the_reason_says_when_the_api_is_away(running):
    """A handler that is not ready and an API that does not answer are two things."""
    running.cluster.never_ready[running.ids[0]] = "any"
    running.server.api.down = True
    with pytest.raises(NotReady, match="no book, the API server does not answer"):
        running.fleet.wait_ready(running.ids, None, 2)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"stateful_set": "nobody"}, "404.*apply deploy/kubernetes"),
        ({"namespace": "elsewhere"}, "403.*bind the Role"),
        ({"container": "fed"}, "no container 'fed'"),
        ({"context": "other"}, "no access to Kubernetes.*other"),
    ],
)
def test_a_wrong_setting_is_one_line_with_a_remedy(running, settings, words):
    """What, where, remedy."""
    fleet = hurried(running, **settings)
    with pytest.raises(FleetUnavailable, match=words) as caught:
        fleet.set_variant(running.ids[:1], "native", epoch=1)
    assert "\n" not in str(caught.value)
    assert running.native() == set()


def test_outside_a_cluster_a_missing_kubeconfig_is_said(running):
    """Without one the service account of a pod is looked for."""
    with pytest.raises(FleetUnavailable, match=r"service account.*set fleet.kubernetes.kubeconfig"):
        hurried(running, kubeconfig=None).epoch()


def test_an_answer_that_is_no_stateful_set_is_said(running):
    """A kubeconfig that points at another kind of server."""
    running.cluster.sets["backpack-feed"] = {"spec": {"replicas": "many"}}
    with pytest.raises(FleetUnavailable, match="the answer is no such object"):
        running.fleet.epoch()


def test_a_refused_token_is_in_no_error_and_no_log(tmp_path, running, caplog):
    """Credentials are renewed, never shown."""
    caplog.set_level(logging.DEBUG)
    path = tmp_path / "kubeconfig"
    path.write_text(path.read_text().replace(TOKEN, f"{TOKEN}-old"))
    with pytest.raises(FleetUnavailable, match="401 Unauthorized: renew the credentials") as caught:
        running.another().epoch()
    seen = f"{caught.value!r} {caught.value.__cause__!r} {caplog.text}"
    assert TOKEN not in seen


def test_the_kubeconfig_is_only_read(tmp_path, running):
    """A refreshed token is not written back: the file is the operator's."""
    path = tmp_path / "kubeconfig"
    before = path.read_bytes()
    running.another().epoch()
    assert path.read_bytes() == before


def test_the_deployment_chooses_the_driver(running):
    """`kind: kubernetes`, as the command line and the DAGs open it."""
    assert isinstance(open_fleet(running.deployment), KubernetesFleet)


def test_logs_of_a_lost_node_do_not_hold_a_rollback_up(running, monkeypatch):
    """They are read before anything is flipped; what does not come is left out."""
    answered = threading.Event()
    monkeypatch.setattr(KubernetesApi, "log", lambda *_: answered.wait(60) and "late")
    began = time.monotonic()
    try:
        tails = running.fleet.log_tails(running.ids, 5)
    finally:
        answered.set()
    assert time.monotonic() - began < 30
    assert set(tails) == set(running.ids)
    assert all("no log within" in lines[0] for lines in tails.values())
