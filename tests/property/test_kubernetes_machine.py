"""Whatever happens in whatever order, pods are native only behind an admitted act, and come back."""

import tempfile
from contextlib import ExitStack
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from feed_migration.errors import FleetUnavailable, NotReady, StaleEpoch
from tests.support.kubernetes_fleet import cluster_fleet
from tests.support.kubernetes_server import TOKEN
from tests.support.memory_fleet import Killed

SIZE = 5
NAMES = [f"backpack-feed-{ordinal}" for ordinal in reversed(range(SIZE))]
FAULTS = st.lists(
    st.tuples(
        st.sampled_from(["GET", "PATCH", "DELETE"]),
        st.sampled_from([429, 500, 503, "reset", "lost"]),
    ),
    max_size=3,
)


class Deadly:
    """Ends the process before its `at`-th request; 0: never."""

    def __init__(self, api, at):
        self._api, self._left = api, at

    def __getattr__(self, name):
        self._left -= 1
        if self._left == 0:
            raise Killed
        return getattr(self._api, name)


class KubernetesMachine(RuleBasedStateMachine):
    """Steps, rollbacks, overtaken workers, kills, lost pods, faults, a controller that pauses."""

    def __init__(self) -> None:
        super().__init__()
        self.stack = ExitStack()
        home = Path(self.stack.enter_context(tempfile.TemporaryDirectory()))
        self.running = self.stack.enter_context(cluster_fleet(home, size=SIZE, max_unavailable=2))
        self.cluster = self.running.cluster
        self.epoch = 1
        self.may_be_native: set[str] = set()
        self.must_be_native: set[str] = set()

    def teardown(self) -> None:
        self.stack.close()

    def act(self, count, variant, epoch, deadly, faults):
        """Try it with a driver that may be killed; returns whether it lived to the end."""
        fleet = self.running.another()
        api = Deadly(fleet._api, deadly)
        for part in (fleet, fleet._fence, fleet._handlers, fleet._view):
            part._api = api
        self.running.server.api.faults.extend(faults)
        size = SIZE if variant == "ccxt" else None
        try:
            fleet.set_variant(NAMES[:count], variant, epoch=epoch, max_unavailable=size)
        except (FleetUnavailable, NotReady, Killed):
            return False
        finally:
            self.running.server.api.faults.clear()
        return True

    @rule(count=st.integers(1, SIZE), deadly=st.integers(0, 12), faults=FAULTS)
    def step(self, count, deadly, faults):
        self.may_be_native |= set(NAMES[:count])
        if self.act(count, "native", self.epoch, deadly, faults):
            self.must_be_native |= set(NAMES[:count])

    @rule(deadly=st.integers(0, 12), faults=FAULTS)
    def roll_back(self, deadly, faults):
        self.epoch += 1
        self.must_be_native = set()
        if self.act(SIZE, "ccxt", self.epoch, deadly, faults):
            self.may_be_native = set()

    @precondition(lambda self: self.running.fleet.epoch() > 1)
    @rule(count=st.integers(1, SIZE), variant=st.sampled_from(["native", "ccxt"]))
    def wake_an_overtaken_worker(self, count, variant):
        before = self.cluster.read_set("backpack-feed")["spec"]
        stale = self.running.fleet.epoch() - 1
        try:
            self.running.another().set_variant(NAMES[:count], variant, epoch=stale)
        except StaleEpoch:
            assert self.cluster.read_set("backpack-feed")["spec"] == before
        else:
            raise AssertionError("it was admitted")

    @rule(name=st.sampled_from(NAMES))
    def lose_a_pod(self, name):
        if name in self.cluster.pods:
            self.cluster.kill(name)

    @rule(name=st.sampled_from(NAMES), variant=st.sampled_from(["native", "ccxt", "none"]))
    def break_or_mend(self, name, variant):
        self.cluster.never_ready[name] = variant

    @rule(runs=st.booleans())
    def pause_the_controller(self, runs):
        self.cluster.controller_runs = runs

    @rule(seconds=st.sampled_from([0.1, 1, 10]))
    def wait(self, seconds):
        self.cluster.pass_time(seconds)

    @rule()
    def come_to_rest(self):
        """Nobody acts any more: what was done is there, and nothing that was not asked for."""
        self.cluster.controller_runs = True
        self.cluster.never_ready.clear()
        self.running.settle()
        native = self.running.native()
        assert self.must_be_native <= native <= self.may_be_native
        assert native == set(NAMES[: len(native)])
        assert len(self.cluster.variants()) == SIZE

    @rule()
    def the_way_back_converges(self):
        self.cluster.controller_runs = True
        self.cluster.never_ready.clear()
        self.roll_back(0, [])
        self.running.fleet.wait_ready(NAMES, "ccxt", 120)
        self.come_to_rest()
        assert self.running.native() == set()

    @invariant()
    def exposure_is_behind_an_admitted_act(self):
        assert self.running.native() <= self.may_be_native

    @invariant()
    def no_secret_is_in_the_spec(self):
        assert TOKEN not in repr(self.cluster.sets)


TestKubernetesMachine = KubernetesMachine.TestCase
TestKubernetesMachine.settings = settings(
    max_examples=12,
    stateful_step_count=12,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
