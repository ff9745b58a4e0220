"""What a StatefulSet can say, and what it must say for a wish; pure."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kubernetes.client import V1StatefulSet

from feed_migration.errors import FleetUnavailable
from feed_migration.fleet.kubernetes_pods import describe
from feed_migration.fleet.kubernetes_spec import (
    EPOCH,
    Spec,
    changed,
    fenced_patch,
    flag_patch,
    in_order,
    read_base,
    read_epoch,
    read_partition,
    read_variant,
    says,
)

VARIANTS = st.sampled_from(["ccxt", "native"])
FLAG = "CRYPTOFEED_BACKPACK_NATIVE"


@st.composite
def specs(draw):
    size = draw(st.integers(1, 8))
    partition = draw(st.integers(0, size))
    return Spec(template=draw(VARIANTS), partition=partition, base=draw(VARIANTS), replicas=size)


def stateful_set(flag="false", partition=0, epoch=None, **variable):
    """As the API server answers it."""
    annotations = {} if epoch is None else {EPOCH: epoch}
    env = [{"name": FLAG, **({"value": flag} if flag is not None else {}), **variable}]
    pod = {"containers": [{"name": "feed", "env": env}]}
    return V1StatefulSet.from_dict(
        {
            "metadata": {"name": "f", "resourceVersion": "7", "annotations": annotations},
            "spec": {
                "selector": {"matchLabels": {}},
                "template": {"spec": pod},
                "updateStrategy": {
                    "type": "RollingUpdate",
                    "rollingUpdate": {"partition": partition},
                },
            },
        }
    )


@given(specs(), VARIANTS, st.data())
def test_a_change_is_what_was_asked_and_nothing_else(spec, variant, data):
    """Or there is none: then no partition says it, tried by brute force."""
    ordinals = data.draw(st.sets(st.integers(0, spec.replicas - 1), min_size=1))
    wanted = tuple(
        variant if ordinal in ordinals else spec.variant(ordinal)
        for ordinal in range(spec.replicas)
    )
    target = changed(spec, ordinals, variant)
    if target is not None:
        assert target.variants() == wanted
        assert (target.base, target.replicas) == (spec.base, spec.replicas)
        return
    possible = {
        Spec(template=t, partition=p, base=spec.base, replicas=spec.replicas).variants()
        for t in ("ccxt", "native")
        for p in range(spec.replicas + 1)
    }
    assert wanted not in possible


@given(specs(), VARIANTS, st.integers(1, 8))
def test_a_whole_fleet_can_always_go_either_way_in_batches(spec, variant, size):
    """From every state, in the order of `in_order`, each batch can be said; the end is right."""
    pending = [o for o in range(spec.replicas) if spec.variant(o) != variant]
    order = in_order(pending, variant, spec.base)
    for start in range(0, len(order), size):
        spec = changed(spec, order[start : start + size], variant)
        assert spec is not None
    assert set(spec.variants()) == {variant}


def test_a_base_that_is_native_is_never_mistaken_for_a_ccxt_one():
    """After a rollback from 100 % the base stays native until all are ready: no ramp before that."""
    spec = Spec(template="ccxt", partition=0, base="native", replicas=10)
    assert changed(spec, {9}, "native") is None
    settled = Spec(template="ccxt", partition=0, base="ccxt", replicas=10)
    assert changed(settled, {9}, "native").variants() == ("ccxt",) * 9 + ("native",)


@pytest.mark.parametrize(("text", "variant"), [("true", "native"), ("false", "ccxt")])
def test_the_flag_is_read_from_the_template(text, variant):
    """As the feed reads it."""
    pod = stateful_set(flag=text).spec.template.spec
    assert read_variant(pod, "feed", "here") == variant


@pytest.mark.parametrize("flag", ["yes", "", "1", None])
def test_a_flag_that_means_nothing_is_an_error_with_its_place(flag):
    """Guessing ccxt would hide a native fleet."""
    pod = stateful_set(flag=flag).spec.template.spec
    with pytest.raises(FleetUnavailable, match=f"here has {FLAG} = "):
        read_variant(pod, "feed", "here")


def test_a_container_that_is_not_there_is_named():
    """A typing error in deployment.yaml."""
    with pytest.raises(FleetUnavailable, match="here has no container 'fed'"):
        read_variant(stateful_set().spec.template.spec, "fed", "here")


def test_the_base_is_read_from_the_revision():
    """The data of a ControllerRevision is a patch of the StatefulSet."""
    env = [{"name": FLAG, "value": "true"}]
    pod = {"containers": [{"name": "feed", "env": env}]}
    data = {"spec": {"template": {"$patch": "replace", "spec": pod}}}
    assert read_base(data, "feed", "r") == "native"
    with pytest.raises(FleetUnavailable, match="r has no container"):
        read_base({}, "feed", "r")


@pytest.mark.parametrize("text", ["many", "-1", "1.5", "", "²"])
def test_an_unreadable_epoch_stops_the_way_forward_only(text):
    """Guessing zero would let anybody in; the way back overwrites it."""
    found = stateful_set(epoch=text)
    with pytest.raises(FleetUnavailable, match="audit export"):
        read_epoch(found)
    assert read_epoch(found, repair=True) == 0
    assert read_epoch(stateful_set(epoch="41")) == 41


def test_a_patch_carries_the_version_it_was_made_for():
    """So the API server refuses it when anybody wrote in between."""
    spec = flag_patch(Spec(template="native", partition=9, base="ccxt", replicas=10), "feed")
    patch = fenced_patch(stateful_set(), 3, spec)
    assert patch["metadata"] == {"resourceVersion": "7", "annotations": {EPOCH: "3"}}
    assert patch["spec"]["updateStrategy"]["rollingUpdate"] == {"partition": 9}


def test_a_spec_that_is_said_already_is_not_written_again():
    """A reference beside the value counts as another spec."""
    spec = flag_patch(Spec(template="native", partition=9, base="ccxt", replicas=10), "feed")
    assert says(stateful_set("true", 9), spec)
    assert not says(stateful_set("true", 8), spec)
    assert not says(stateful_set("false", 9), spec)
    reference = {"configMapKeyRef": {"key": "k", "name": "n"}}
    assert not says(stateful_set("true", 9, valueFrom=reference), spec)


def test_on_delete_is_refused():
    """There the partition means nothing."""
    found = stateful_set()
    found.spec.update_strategy.type = "OnDelete"
    with pytest.raises(FleetUnavailable, match="OnDelete"):
        read_partition(found)


def test_a_pod_that_does_not_exist_is_said():
    """It may be between two lives."""
    assert describe(None, "feed-3", "feed") == "pod feed-3 does not exist"
