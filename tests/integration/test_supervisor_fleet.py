"""SupervisorFleet against a real supervisord and real processes."""

import os
import signal
import time
from dataclasses import replace

import pytest

from feed_migration.errors import FleetUnavailable, NotReady, StaleEpoch, UsageError
from feed_migration.fleet.supervisor import SupervisorFleet
from feed_migration.fleet.supervisor_conf import conf_path, program_conf
from feed_migration.fleet.supervisor_rpc import SupervisorRpc
from tests.support.conditions import eventually_sync


def test_only_the_chosen_instances_are_flipped_and_a_repeat_restarts_none(running):
    """Flipping is exact and idempotent: the pid of an instance that is right stays."""
    before = running.pids()
    chosen = ["feed-00", "feed-01", "feed-02"]

    running.fleet.set_variant(chosen, "native", epoch=1)
    running.fleet.wait_ready(chosen, "native", 15)
    after = running.pids()
    running.fleet.set_variant(chosen, "native", epoch=1)

    assert running.variants() == {
        "feed-00": "native",
        "feed-01": "native",
        "feed-02": "native",
        "feed-03": "ccxt",
    }
    assert running.pids() == after
    assert after["feed-03"] == before["feed-03"]
    assert all(after[name] != before[name] for name in chosen)


def test_a_batch_waits_until_the_one_before_is_ready(running):
    """A batch that does not become ready stops the flip: the rest keeps its feed."""
    running.break_in("feed-01", "native")
    fleet = SupervisorFleet(_impatient(running.deployment))

    with pytest.raises(NotReady, match="feed-01: SOL-USDC: no book"):
        fleet.set_variant(["feed-00", "feed-01", "feed-02"], "native", epoch=1)

    assert running.variants()["feed-02"] == "ccxt"


def test_attempts_cut_short_are_completed(running):
    """Whatever part of a flip an earlier attempt did, the next one ends with the right fleet."""
    rpc = SupervisorRpc(running.deployment.fleet.socket)
    names = [instance.id for instance in running.deployment.instances]
    written, stopped, removed, untouched = names
    for instance in running.deployment.instances[:3]:
        path = conf_path(running.deployment, instance.id)
        path.write_text(program_conf(running.deployment, instance, "native"))
    rpc.reload()
    for name in (stopped, removed):
        rpc.stop(name)
        eventually_sync(lambda name=name: rpc.states()[name] == "STOPPED")
    rpc.remove(removed)
    rpc.stop(untouched)

    running.fleet.set_variant(names, "native", epoch=1, max_unavailable=4)

    running.fleet.wait_ready(names, "native", 15)
    assert set(running.variants().values()) == {"native"}
    assert written in rpc.states()


def test_a_lower_epoch_is_refused(running):
    """Who was overtaken changes nothing."""
    running.fleet.set_variant(["feed-00"], "ccxt", epoch=5)

    with pytest.raises(StaleEpoch, match="epoch 5, this actor at 4"):
        running.fleet.set_variant(["feed-00"], "native", epoch=4)
    with pytest.raises(StaleEpoch):
        running.fleet.start_shadow(4)

    assert running.variants()["feed-00"] == "ccxt"


@pytest.mark.parametrize("looks", [1, 2])
def test_an_actor_overtaken_while_it_waits_touches_nothing_any_more(running, looks):
    """Stopped while processes go down, it wakes up after a rollback: what runs then is not its.

    It sleeps at one of its looks at the clock, and finds that its patience is over.
    """
    names = [instance.id for instance in running.deployment.instances]
    slow, rpc = running.pids()["feed-00"], SupervisorRpc(running.deployment.fleet.socket)
    looked: list[float] = []
    after: dict[str, int] = {}

    def clock() -> float:
        if not after and rpc.states()["feed-00"] == "STOPPING":
            looked.append(time.monotonic())
            if len(looked) == looks:
                os.kill(slow, signal.SIGCONT)
                running.fleet.set_variant(names, "ccxt", epoch=2, max_unavailable=4)
                running.fleet.wait_ready(names, "ccxt", 15)
                after.update(running.pids())
        return time.monotonic() + (100 if after else 0)

    sleeper = SupervisorFleet(running.deployment, monotonic=clock)
    os.kill(slow, signal.SIGSTOP)
    with pytest.raises(StaleEpoch, match="epoch 2, this actor at 1"):
        sleeper.set_variant(names, "native", epoch=1, max_unavailable=4)

    assert len(looked) == looks
    assert running.pids() == after
    assert set(running.variants().values()) == {"ccxt"}


def test_shadow_instances_exist_only_between_start_and_stop(running):
    """Starting and stopping twice is the same as once; the fleet is not touched."""
    before = running.pids()

    running.fleet.start_shadow(1)
    running.fleet.start_shadow(1)
    running.fleet.wait_ready(["shadow-00"], None, 15)
    (shadow,) = running.fleet.shadow_instances()
    assert shadow.ready
    running.fleet.stop_shadow(1)
    running.fleet.stop_shadow(1)

    (shadow,) = running.fleet.shadow_instances()
    assert (shadow.ready, shadow.variant) == (False, "unknown")
    assert "supervisor: not added" in shadow.reasons
    assert running.pids() == before


def test_a_killed_handler_comes_back_as_configured(running):
    """A kill -9 of a native instance: supervisord restarts it, on native."""
    running.fleet.set_variant(["feed-00"], "native", epoch=1)
    running.fleet.wait_ready(["feed-00"], "native", 15)
    old = running.pids()["feed-00"]

    os.kill(old, signal.SIGKILL)
    eventually_sync(lambda: running.pids()["feed-00"] not in {0, old})

    running.fleet.wait_ready(["feed-00"], "native", 15)


def test_without_a_supervisor_the_files_are_still_put_right(running):
    """The way back works on its next start: what starts then is ccxt."""
    running.fleet.set_variant(["feed-00"], "native", epoch=1)
    running.fleet.wait_ready(["feed-00"], "native", 15)
    running.stop()

    with pytest.raises(FleetUnavailable, match="does not answer"):
        running.fleet.set_variant(["feed-00"], "ccxt", epoch=2)
    running.start()

    running.fleet.wait_ready(["feed-00"], "ccxt", 20)


def test_a_stopped_supervisor_does_not_block_for_ever(running):
    """SIGSTOP on supervisord ends in a clear error after the timeout, not in a hang."""
    running.supervisord.send_signal(signal.SIGSTOP)
    try:
        rpc = SupervisorRpc(running.deployment.fleet.socket, timeout_seconds=0.3)
        with pytest.raises(FleetUnavailable, match="timed out"):
            rpc.states()
    finally:
        running.supervisord.send_signal(signal.SIGCONT)


def test_a_flip_right_after_a_flip_loses_no_time(running):
    """A stop signal that meets a child between fork and exec is lost; it is sent again."""
    names = ["feed-00", "feed-01"]
    began = time.monotonic()

    for epoch in range(1, 7):
        variant = "native" if epoch % 2 else "ccxt"
        running.fleet.set_variant(names, variant, epoch=epoch)

    running.fleet.wait_ready(names, "ccxt", 15)
    assert time.monotonic() - began < 10, "supervisord waits 10 s before it kills"


def test_an_unknown_instance_is_named(running):
    """A typing error touches nothing."""
    with pytest.raises(UsageError, match="no instance feed-99"):
        running.fleet.set_variant(["feed-99"], "native", epoch=1)


def _impatient(deployment):
    return replace(deployment, fleet=replace(deployment.fleet, ready_deadline_seconds=2.0))


def test_a_file_that_cannot_be_written_keeps_only_its_own_instance_back(running):
    """All others are flipped; then the one is named."""
    names = [instance.id for instance in running.deployment.instances]
    path = conf_path(running.deployment, "feed-01")
    obstacle = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    obstacle.mkdir()
    try:
        with pytest.raises(FleetUnavailable, match=r"feed-01\.conf cannot be written"):
            running.fleet.set_variant(names, "native", epoch=1, max_unavailable=4)
    finally:
        obstacle.rmdir()

    others = [name for name in names if name != "feed-01"]
    running.fleet.wait_ready(others, "native", 15)
    assert running.variants()["feed-01"] == "ccxt"


def test_a_process_that_does_not_die_keeps_only_its_own_instance_back(running):
    """A stopped process takes no signal but SIGKILL: the others run on the new feed meanwhile."""
    names = [instance.id for instance in running.deployment.instances]
    stuck = running.pids()["feed-00"]
    fleet = SupervisorFleet(running.deployment, monotonic=lambda: 10 * time.monotonic())
    os.kill(stuck, signal.SIGSTOP)
    try:
        with pytest.raises(FleetUnavailable, match="feed-00 does not stop"):
            fleet.set_variant(names, "native", epoch=1, max_unavailable=4)
        running.fleet.wait_ready(names[1:], "native", 15)
    finally:
        os.kill(stuck, signal.SIGCONT)

    running.fleet.set_variant(names, "native", epoch=1, max_unavailable=4)
    running.fleet.wait_ready(names, "native", 15)


def test_a_damaged_fence_does_not_stop_the_way_back(running):
    """Forward it is an error; back to ccxt it is overwritten."""
    running.fleet.set_variant(["feed-00"], "native", epoch=1)
    running.deployment.fence_file.write_text("many\n")
    with pytest.raises(FleetUnavailable, match="unreadable"):
        running.fleet.set_variant(["feed-01"], "native", epoch=1)

    running.fleet.set_variant(["feed-00"], "ccxt", epoch=2)

    assert running.fleet.epoch() == 2
    running.fleet.wait_ready(["feed-00"], "ccxt", 15)
