"""What every fleet promises, whoever runs it: in memory, under supervisord, on Kubernetes."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from feed_migration import cutover, rollback
from feed_migration.errors import NotReady, StaleEpoch
from feed_migration.fleet.kubernetes import KubernetesFleet
from feed_migration.fleet.shadows import running_shadows
from feed_migration.fleet.supervisor import SupervisorFleet
from feed_migration.journal.spool import Spool
from feed_migration.journal.store import Journal
from feed_migration.phases import Status
from tests.support.kubernetes_fleet import cluster_fleet
from tests.support.memory_fleet import MemoryFleet
from tests.support.migration_plans import PLAN, approve, begin, gate, pass_steps

READY_SECONDS = 30


@dataclass
class Subject:
    """A fleet of four and one shadow, and how to look at it and break it from outside."""

    fleet: Any
    variants: Callable[[], dict[str, str]]
    lives: Callable[[], dict[str, object]]
    break_in: Callable[[str, str | None], None]
    another: Callable[[Callable[[float], None]], Any]
    """The driver of another process, which pauses as it is told."""

    @property
    def ids(self):
        return [status.id for status in self.fleet.instances()]

    @property
    def native(self):
        return {name for name, variant in self.variants().items() if variant == "native"}

    def flip(self, ids, variant, epoch):
        self.fleet.set_variant(ids, variant, epoch=epoch, max_unavailable=4)
        self.fleet.wait_ready(ids, variant, READY_SECONDS)


class BreakableMemoryFleet(MemoryFleet):
    """Instances that are never ready in one of the feeds only."""

    def __init__(self) -> None:
        self.broken: dict[str, str | None] = {}
        super().__init__(4)

    @property
    def never_ready(self):
        return {name for name, variant in self.broken.items() if self.variant[name] == variant}

    @never_ready.setter
    def never_ready(self, _names):
        return

    def pausing(self, sleep):
        """Pause where another fleet waits for its instances."""

        def pause(_act):
            self.before_act = lambda _: None
            sleep(0.0)

        self.before_act = pause
        return self


@pytest.fixture(params=["memory", "supervisor", "kubernetes"])
def subject(request, tmp_path):
    if request.param == "memory":
        fleet = BreakableMemoryFleet()
        yield Subject(
            fleet,
            lambda: dict(fleet.variant),
            lambda: dict(fleet.restarts),
            fleet.broken.__setitem__,
            fleet.pausing,
        )
    elif request.param == "supervisor":
        running = request.getfixturevalue("running")
        yield Subject(
            running.fleet,
            running.variants,
            running.pids,
            running.break_in,
            lambda sleep: SupervisorFleet(running.deployment, sleep=sleep),
        )
    else:
        with cluster_fleet(tmp_path) as running:
            yield Subject(
                running.fleet,
                running.cluster.variants,
                lambda: {name: running.cluster.uids()[name] for name in running.cluster.variants()},
                lambda name, variant: running.cluster.never_ready.update({name: variant or "none"}),
                lambda sleep: KubernetesFleet(
                    running.deployment, sleep=sleep, monotonic=running.cluster.monotonic
                ),
            )


@pytest.fixture
def journal(tmp_path):
    return Journal(tmp_path / "migration.db")


@pytest.fixture
def spool(tmp_path):
    return Spool(tmp_path / "migration.spool.jsonl")


def test_only_the_chosen_are_flipped_and_a_repeat_restarts_none(subject):
    """Flipping is exact and idempotent, forward and back."""
    before, (first, *others) = subject.lives(), subject.ids
    subject.flip([first], "native", 1)
    after = subject.lives()
    subject.flip([first], "native", 1)
    assert subject.native == {first}
    assert subject.lives() == after
    assert {name for name in before if before[name] != after[name]} == {first}

    subject.flip(subject.ids, "ccxt", 2)
    assert subject.native == set()
    assert [subject.lives()[name] for name in others] == [before[name] for name in others]


def test_statuses_come_in_the_order_of_the_ramp(subject):
    """Every one ready, on ccxt, with a life of its own that counts messages."""
    statuses = subject.fleet.instances()
    assert len({status.id for status in statuses}) == 4
    assert all(s.ready and s.variant == "ccxt" and s.pid and s.healthy for s in statuses)
    assert [status.id for status in subject.fleet.instances()] == [s.id for s in statuses]


def test_a_lower_epoch_is_refused_for_every_act_and_changes_nothing(subject):
    """An equal one is admitted: it is the same actor, again."""
    subject.flip(subject.ids[:1], "native", 5)
    lives = subject.lives()
    acts = [
        lambda: subject.fleet.set_variant(subject.ids, "native", epoch=4),
        lambda: subject.fleet.set_variant(subject.ids, "ccxt", epoch=4),
        lambda: subject.fleet.set_variant(subject.ids[:1], "native", epoch=4),
        lambda: subject.fleet.start_shadow(4),
        lambda: subject.fleet.stop_shadow(4),
    ]
    for act in acts:
        with pytest.raises(StaleEpoch, match="epoch 5, this actor at 4"):
            act()
    subject.flip(subject.ids[:1], "native", 5)
    assert (subject.fleet.epoch(), subject.lives()) == (5, lives)
    assert not subject.fleet.shadow_instances()[0].pid


def test_an_act_that_changes_nothing_still_raises_the_fence(subject):
    """A rollback of a fleet on ccxt shuts out the migration behind it."""
    subject.flip(subject.ids, "ccxt", 7)
    assert subject.fleet.epoch() == 7
    with pytest.raises(StaleEpoch):
        subject.fleet.set_variant(subject.ids[:1], "native", epoch=6)


def test_shadow_instances_exist_only_between_start_and_stop(subject):
    """Twice is the same as once; the fleet is not touched."""
    before = subject.lives()
    for _ in range(2):
        subject.fleet.start_shadow(1)
    shadows = [shadow.id for shadow in subject.fleet.shadow_instances()]
    subject.fleet.wait_ready(shadows, None, READY_SECONDS)
    assert all(shadow.ready for shadow in subject.fleet.shadow_instances())
    assert running_shadows(subject.fleet) == tuple(shadows)
    for _ in range(2):
        subject.fleet.stop_shadow(1)
    assert not any(s.ready or s.pid for s in subject.fleet.shadow_instances())
    assert running_shadows(subject.fleet) == ()
    assert subject.lives() == before


def test_an_instance_that_never_becomes_ready_is_named_with_its_reason(subject):
    """It is a Failure at the deadline, not a wait for ever."""
    first = subject.ids[0]
    subject.break_in(first, "native")
    subject.fleet.set_variant([first], "native", epoch=1)
    with pytest.raises(NotReady, match="no book") as caught:
        subject.fleet.wait_ready([first], "native", 2)
    assert caught.value.instances == (first,)


def test_an_actor_overtaken_while_it_waits_ends_at_once(subject):
    """Its instances will never be what it waits for, so the deadline is not waited out."""
    first = subject.ids[0]
    subject.break_in(first, "native")
    subject.fleet.set_variant([first], "native", epoch=1)
    pauses = []

    def overtake(seconds):
        assert not pauses, "it waits on"
        pauses.append(seconds)
        subject.flip(subject.ids, "ccxt", 2)

    with pytest.raises(StaleEpoch, match="epoch 2, this actor at 1"):
        subject.another(overtake).wait_ready([first], "native", READY_SECONDS, epoch=1)
    assert pauses


def test_log_tails_have_every_instance(subject):
    """Evidence for the incident page."""
    tails = subject.fleet.log_tails(subject.ids, 5)
    assert set(tails) == set(subject.ids)
    assert all(lines for lines in tails.values())


def test_a_whole_migration_ends_on_native(subject, journal):
    """Shadow, 10, 50 and 100 %, with the shadow instances gone."""
    migration_id = begin(journal)
    pass_steps(journal, subject.fleet, migration_id, until="cutover-50")
    assert subject.native == set(subject.ids[:1])
    approve(journal, migration_id, "cutover-50")
    for name in ("cutover-50", "cutover-100"):
        step = PLAN.step(name)
        result = cutover.advance(step, PLAN, subject.fleet, journal, migration_id, "ana")
        assert subject.native == set(result.instances)
        gate(journal, migration_id, name)
        cutover.promote(step, PLAN, journal, migration_id, "ana")
    assert subject.native == set(subject.ids)
    assert not any(s.pid for s in subject.fleet.shadow_instances())


@pytest.mark.parametrize("count", [0, 1, 2, 4])
def test_the_way_back_converges_from_every_step(subject, journal, spool, count):
    """Also when no native instance ever becomes ready; what was on ccxt is not restarted."""
    migration_id = begin(journal)
    epoch, exposed = journal.state(migration_id).epoch, subject.ids[:count]
    subject.fleet.start_shadow(epoch)
    for name in exposed:
        subject.break_in(name, "native")
    lives = subject.lives()
    subject.fleet.set_variant(exposed, "native", epoch=epoch, max_unavailable=4)

    rollback.revert(subject.fleet, journal, migration_id, "ana", "breach", spool=spool)
    proof = rollback.verify(subject.fleet, journal, migration_id, "ana", spool=spool)

    assert set(proof.instances.values()) == {"ccxt"}
    assert subject.native == set()
    assert not any(s.pid for s in subject.fleet.shadow_instances())
    assert {name for name in lives if subject.lives()[name] != lives[name]} == set(exposed)
    assert journal.state(migration_id).status is Status.ROLLED_BACK


def test_a_worker_that_wakes_up_after_a_rollback_is_refused(subject, journal, spool):
    """The fleet enforces it, whatever the worker believes."""
    migration_id = begin(journal)
    pass_steps(journal, subject.fleet, migration_id, until="cutover-50")
    stale = journal.state(migration_id).epoch
    rollback.revert(subject.fleet, journal, migration_id, "ana", "breach", spool=spool)
    with pytest.raises(StaleEpoch):
        subject.fleet.set_variant(subject.ids, "native", epoch=stale)
    assert subject.native == set()
