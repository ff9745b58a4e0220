"""KubernetesFleet against a stand-in API server with a StatefulSet controller behind it."""

from dataclasses import replace

import pytest

from feed_migration.errors import (
    FleetBusy,
    FleetUnavailable,
    InstanceStuck,
    NotReady,
    StaleEpoch,
    UsageError,
)
from feed_migration.fleet.kubernetes import KubernetesFleet
from feed_migration.fleet.kubernetes_spec import EPOCH, Spec, flag_patch
from tests.support.kubernetes_fleet import cluster_fleet


@pytest.fixture
def running(tmp_path):
    with cluster_fleet(tmp_path, size=10, max_unavailable=3) as fleet:
        yield fleet


def set_of(running):
    return running.cluster.read_set("backpack-feed")


def patches(running):
    return len(running.server.api["patch"])


def flip(running, ids, variant, epoch, **more):
    running.fleet.set_variant(ids, variant, epoch=epoch, **more)
    running.fleet.wait_ready(ids, variant, 60)


def test_the_ramp_is_the_partition(running):
    """10, 50 and 100 % of the order of `instances` are the highest ordinals."""
    names = running.ids
    assert names[0] == "backpack-feed-9"
    for count, partition in ((1, 9), (5, 5), (10, 0)):
        flip(running, names[:count], "native", 1)
        assert running.native() == set(names[:count])
        strategy = set_of(running)["spec"]["updateStrategy"]
        assert strategy["rollingUpdate"]["partition"] == partition


def test_right_pods_are_not_restarted(running):
    """Flipping is exact and idempotent, back as well as forward."""
    before = running.cluster.uids()
    flip(running, running.ids[:3], "native", 1)
    flip(running, running.ids[:3], "native", 1)
    assert set(running.cluster.deletions) == set(running.ids[:3])
    assert set(running.cluster.deletions.values()) == {1}

    flip(running, running.ids, "ccxt", 2, max_unavailable=10)

    after = running.cluster.uids()
    assert {name for name in before if before[name] == after[name]} == set(running.ids[3:])


def test_what_is_right_already_is_not_written(running):
    """Told twice, written once."""
    flip(running, running.ids[:3], "native", 1)
    written = patches(running)
    flip(running, running.ids[:3], "native", 1)
    assert patches(running) == written


def test_the_way_back_is_one_write(running):
    """Flag, partition and epoch change together, so there is no state between."""
    flip(running, running.ids[:5], "native", 1)
    written = patches(running)
    flip(running, running.ids, "ccxt", 2, max_unavailable=10)
    assert patches(running) == written + 1
    assert set_of(running)["metadata"]["annotations"][EPOCH] == "2"


def test_no_more_than_max_unavailable_are_down_at_once(running):
    """A batch waits until the one before is ready."""
    running.cluster.fewest_ready.clear()
    flip(running, running.ids, "native", 1)
    assert running.cluster.fewest_ready["backpack-feed"] >= 7


def test_a_batch_that_does_not_become_ready_stops_the_flip(running):
    """The rest keeps its feed; the error names pod, container state and last line."""
    running.cluster.crashing["backpack-feed-8"] = "native"
    with pytest.raises(NotReady) as caught:
        running.fleet.set_variant(running.ids[:6], "native", epoch=1)
    assert caught.value.instances == ("backpack-feed-8",)
    message = str(caught.value)
    assert "container feed CrashLoopBackOff, last exit code 2, 4 restarts, not ready" in message
    assert "last line: ConfigError: no such venue" in message
    assert running.native() <= set(running.ids[:3])


def test_a_pod_that_is_never_ready_does_not_hold_up_the_way_back(running):
    """The controller alone would wait for it for ever."""
    running.cluster.never_ready |= dict.fromkeys(running.ids[:5], "native")
    running.fleet.set_variant(running.ids[:5], "native", epoch=1, max_unavailable=5)
    flip(running, running.ids, "ccxt", 2, max_unavailable=10)
    assert running.native() == set()


@pytest.mark.parametrize("count", [1, 5, 10])
def test_a_killed_pod_comes_back_as_the_step_says(running, count):
    """Below the partition on ccxt, above it on native, also right after the flip."""
    flip(running, running.ids[:count], "native", 1)
    for name in (running.ids[0], running.ids[-1], running.ids[count - 1]):
        if name in running.cluster.pods:
            running.cluster.kill(name)
    running.settle()
    assert running.native() == set(running.ids[:count])


def test_no_ramp_begins_while_dying_pods_would_come_back_native(running):
    """After a rollback from 100 % the base revision is native until every pod is ready on ccxt."""
    flip(running, running.ids, "native", 1, max_unavailable=10)
    running.settle()
    running.cluster.never_ready["backpack-feed-0"] = "ccxt"
    running.fleet.set_variant(running.ids, "ccxt", epoch=2, max_unavailable=10)

    with pytest.raises(FleetUnavailable, match="would come back on native"):
        running.fleet.set_variant(running.ids[:1], "native", epoch=3)

    running.cluster.never_ready.clear()
    flip(running, running.ids[:1], "native", 3)
    running.cluster.kill("backpack-feed-4")
    running.settle()
    assert running.native() == {running.ids[0]}


def test_a_stale_writer_loses_the_race_it_has_already_checked(running):
    """Its patch carries the version it read: the API server refuses it, and it finds the epoch."""
    way_back = flag_patch(Spec(template="ccxt", partition=0, base="ccxt", replicas=10), "feed")

    def overtake(act):
        # the rollback of another process, between the check of the old worker and its write
        patch = {"metadata": {"annotations": {EPOCH: "2"}}, "spec": way_back}
        running.cluster.patch_set("backpack-feed", patch, lambda document: None)

    running.server.api.before_act = overtake
    with pytest.raises(StaleEpoch, match="epoch 2, this actor at 1"):
        running.fleet.set_variant(running.ids[:3], "native", epoch=1)
    running.settle()
    assert running.native() == set()
    assert sum(running.cluster.deletions.values()) == 0


def test_another_writer_only_costs_an_attempt(running):
    """The controller writes the status of the same object all the time."""
    labels = iter(range(5))

    def interfere(act):
        label = next(labels, None)
        if label is not None:
            patch = {"metadata": {"labels": {"touched": str(label)}}}
            running.cluster.patch_set("backpack-feed", patch, lambda document: None)

    running.server.api.before_act = interfere
    flip(running, running.ids[:3], "native", 1)
    assert running.native() == set(running.ids[:3])
    assert set_of(running)["metadata"]["labels"] == {"touched": "4"}


def test_a_writer_that_never_stops_is_named(running):
    """Two controllers that fight would otherwise hang the migration."""
    numbers = iter(range(10_000))

    def interfere(act):
        patch = {"metadata": {"labels": {"touched": str(next(numbers))}}}
        running.cluster.patch_set("backpack-feed", patch, lambda document: None)

    running.server.api.before_act = interfere
    with pytest.raises(FleetBusy, match="written by others"):
        running.fleet.set_variant(running.ids[:3], "native", epoch=1)


def test_a_damaged_epoch_does_not_stop_the_way_back(running):
    """Forward it is an error; back to ccxt it is overwritten."""
    flip(running, running.ids[:1], "native", 1)
    patch = {"metadata": {"annotations": {EPOCH: "many"}}}
    running.cluster.patch_set("backpack-feed", patch, lambda document: None)
    with pytest.raises(FleetUnavailable, match="unreadable"):
        running.fleet.set_variant(running.ids[:2], "native", epoch=1)

    flip(running, running.ids, "ccxt", 2, max_unavailable=10)

    assert running.fleet.epoch() == 2
    assert running.native() == set()


def test_a_controller_that_is_down_is_said_and_the_spec_is_right(running):
    """What starts from then on is ccxt, and no pod was deleted in vain."""
    flip(running, running.ids[:5], "native", 1)
    deleted = sum(running.cluster.deletions.values())
    running.cluster.controller_runs = False
    with pytest.raises(FleetUnavailable, match="kube-controller-manager"):
        running.fleet.set_variant(running.ids, "ccxt", epoch=2, max_unavailable=10)
    assert sum(running.cluster.deletions.values()) == deleted
    running.cluster.controller_runs = True
    running.settle()
    assert running.native() == set()


def test_a_pod_that_does_not_end_keeps_only_itself_back(running):
    """A lost node: the others run on the new feed, then the one is named."""
    flip(running, running.ids[:5], "native", 1)
    running.cluster.stuck.add("backpack-feed-7")
    with pytest.raises(InstanceStuck, match=r"pod backpack-feed-7 is terminating"):
        running.fleet.set_variant(running.ids, "ccxt", epoch=2, max_unavailable=10)
    assert running.native() == {"backpack-feed-7"}
    running.cluster.stuck.clear()
    flip(running, running.ids, "ccxt", 2, max_unavailable=10)
    assert running.native() == set()


def test_an_instance_out_of_order_is_refused(running):
    """A partition cannot say it; nothing is touched."""
    with pytest.raises(UsageError, match="ramps from its highest ordinal down"):
        running.fleet.set_variant(["backpack-feed-3"], "native", epoch=1)
    with pytest.raises(UsageError, match="no instance feed-99"):
        running.fleet.set_variant(["feed-99"], "native", epoch=1)
    assert running.native() == set()


def test_a_fleet_of_another_size_only_goes_back(running):
    """deployment.yaml is wrong: nobody knows what 10 % are, but everybody can be on ccxt."""
    flip(running, running.ids[:1], "native", 1)
    running.cluster.patch_set("backpack-feed", {"spec": {"replicas": 12}}, lambda document: None)
    with pytest.raises(FleetUnavailable, match=r"has 12 replicas, deployment\.yaml names 10"):
        running.fleet.set_variant(running.ids[:5], "native", epoch=1, max_unavailable=5)
    flip(running, running.ids, "ccxt", 2, max_unavailable=10)
    running.settle()
    assert running.native() == set()


def test_without_shadow_instances_there_is_no_second_stateful_set(running):
    """Start and stop are then only the fence."""
    deployment = replace(running.deployment, shadow_instances=())
    cluster = running.cluster
    fleet = KubernetesFleet(deployment, sleep=cluster.sleep, monotonic=cluster.monotonic)
    fleet.start_shadow(4)
    fleet.stop_shadow(4)
    assert (fleet.shadow_instances(), fleet.epoch()) == ((), 4)
    assert "backpack-feed-shadow-0" not in cluster.pods


def test_log_tails_are_redacted_and_never_raise(running):
    """Evidence must not stop a rollback, nor publish a key."""
    tails = running.fleet.log_tails([*running.ids[:1], "backpack-feed-77"], 5)
    assert tails["backpack-feed-9"] == ("backpack-feed-9 runs ccxt, private_key=[redacted]",)
    assert "404" in tails["backpack-feed-77"][0]
