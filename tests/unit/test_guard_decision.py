"""What the guard does, from what it knows and how old that is."""

from dataclasses import replace

import pytest

from feed_migration.guard.decision import Act, Clocks, decide
from feed_migration.guard.knowledge import Known
from feed_migration.guard.lease_clock import LeaseClock
from feed_migration.lease import UNKNOWN_SECONDS, Lease
from feed_migration.model import Decision
from feed_migration.phases import Status
from tests.support.migration_plans import GATE

LEASE = Lease(migration_id="m", holder="gate cutover-50", renewed_at=1000.0, seconds=60.0)
EXPOSED = Known(
    migration_id="m",
    status=Status.RUNNING,
    step="cutover-50",
    exposed=("feed-00", "feed-01"),
    lease=LEASE,
)
FRESH = Clocks(lease_left=10.0)


def act(known=EXPOSED, clocks=FRESH, gate=GATE, **more):
    return decide(known, clocks, gate, "guard:a", **more).act


def test_an_exposure_with_a_lease_is_watched():
    """And nothing else is done about it."""
    assert act() is Act.WATCH


@pytest.mark.parametrize("status", [Status.ABSENT, Status.ROLLED_BACK, Status.PROMOTED])
def test_a_migration_that_is_over_is_left_alone(status):
    """Whatever else is true of it."""
    exposed = () if status is Status.ROLLED_BACK else EXPOSED.exposed
    over = replace(EXPOSED, status=status, exposed=exposed, breach="gate: bad")
    assert act(over, Clocks(lease_left=-1.0, journal_silent=1e6)) is Act.REST
    assert act(None) is Act.REST


def test_what_is_exposed_after_a_verified_rollback_goes_back():
    """An act that was stopped before it, and came through: nothing else would look at it again."""
    what = decide(replace(EXPOSED, status=Status.ROLLED_BACK), FRESH, GATE, "guard:a")
    assert what.act is Act.REVERT
    assert what.reason == "exposed after the rollback was verified: feed-00, feed-01"


def test_an_expired_lease_takes_the_fleet_back_and_says_whose_it_was():
    """At 0 seconds left, not before."""
    assert act(clocks=Clocks(lease_left=0.001)) is Act.WATCH
    what = decide(EXPOSED, Clocks(lease_left=-2.0), GATE, "guard:a")
    assert what.act is Act.REVERT
    assert what.reason == (
        "the lease of cutover-50 has expired: gate cutover-50 was the last to renew it, 62 s ago"
    )


def test_without_an_exposure_no_lease_is_needed():
    """The shadow phase has nothing to take back."""
    assert act(replace(EXPOSED, exposed=()), Clocks(lease_left=-100.0)) is Act.REST


def test_a_hold_keeps_the_exposure_and_stays_watched():
    """A person was told; only a breach takes it back."""
    held = replace(EXPOSED, status=Status.HELD)
    assert act(held, Clocks(lease_left=-100.0)) is Act.WATCH
    assert act(held, Clocks(lease_left=-100.0, journal_silent=1e6)) is Act.WATCH
    assert act(held, breach="gate cutover-50: auth_failures") is Act.REVERT


def test_a_fleet_that_is_proven_does_not_go_back_for_want_of_a_report():
    """All steps are promoted, Airflow died before it closed the books; a breach still counts."""
    proven = replace(EXPOSED, step="post_migration", proven=True)
    assert act(proven, Clocks(lease_left=-100.0)) is Act.WATCH
    assert act(proven, Clocks(lease_left=-100.0, journal_silent=1e6)) is Act.WATCH
    assert act(proven, breach="gate stabilisation: auth_failures") is Act.REVERT


@pytest.mark.parametrize("status", [Status.RUNNING, Status.HELD])
@pytest.mark.parametrize("exposed", [(), ("feed-00",)])
def test_a_rollback_verdict_takes_the_fleet_back_at_once(status, exposed):
    """Also in the shadow phase, whose instances have to be stopped."""
    bad = replace(EXPOSED, status=status, exposed=exposed, breach="gate shadow: parity")
    what = decide(bad, FRESH, GATE, "guard:a")
    assert (what.act, what.reason) == (Act.REVERT, "gate shadow: parity")


def test_while_the_journal_is_silent_the_blind_limit_stands_in_for_the_lease():
    """Nobody can renew where the guard would see it, so an old lease proves nothing."""
    gate = replace(GATE, blind_limit_seconds=30.0)
    assert act(clocks=Clocks(lease_left=-5.0, journal_silent=30.0), gate=gate) is Act.WATCH
    assert act(clocks=Clocks(lease_left=-5.0, journal_silent=30.1), gate=gate) is Act.REVERT
    held = replace(gate, on_blind=Decision.HOLD)
    assert act(clocks=Clocks(lease_left=-5.0, journal_silent=1e6), gate=held) is Act.WATCH


def test_without_the_plan_a_silent_journal_is_borne_for_the_length_of_the_lease():
    """There is no blind limit at hand then, and no watch either."""
    assert act(clocks=Clocks(lease_left=5.0, journal_silent=59.0), gate=None) is Act.WATCH
    assert act(clocks=Clocks(lease_left=5.0, journal_silent=61.0), gate=None) is Act.REVERT


def test_the_rollback_of_another_is_joined_once_it_is_silent():
    """And its own goes on at once, as after a kill -9."""
    theirs = replace(EXPOSED, status=Status.ROLLING_BACK, rollback_actor="ana")
    assert act(theirs, replace(FRESH, rollback_silent=20.0)) is Act.REST
    assert act(theirs, replace(FRESH, rollback_silent=20.1)) is Act.REVERT
    assert act(replace(theirs, rollback_actor="guard:a")) is Act.REVERT
    assert act(replace(theirs, rollback_actor="guard:b")) is Act.REST


def left(clock, lease, unix, monotonic, migration="m"):
    seen = lease.renewed_at if lease else 0.0
    return clock.left_seconds(
        migration, lease, seen_unix=seen, now_unix=unix, now_monotonic=monotonic
    )


def test_a_lease_runs_down_by_the_monotonic_clock_alone():
    """An hour forward or back on the wall clock changes nothing."""
    clock = LeaseClock()
    assert left(clock, LEASE, 1000.0, 50.0) == 60.0
    assert left(clock, LEASE, 4600.0, 60.0) == 50.0
    assert left(clock, LEASE, -2600.0, 110.0) == 0.0
    renewed = replace(LEASE, renewed_at=-2600.0)
    assert left(clock, renewed, -2600.0, 110.0) == 60.0


def test_a_guard_that_starts_does_not_give_the_lease_its_whole_length_anew():
    """Killed every minute, it would otherwise keep a dead one alive for ever."""
    assert left(LeaseClock(), LEASE, 1050.0, 7.0) == 10.0
    assert left(LeaseClock(), LEASE, 2000.0, 7.0) == 0.0
    # the holder's clock may be ahead of ours: never longer than the lease is
    assert left(LeaseClock(), LEASE, 0.0, 7.0) == 60.0


def test_an_exposure_without_a_lease_has_an_end_too():
    """Begun before there were leases, or by hand."""
    clock = LeaseClock()
    assert left(clock, None, 0.0, 5.0) == UNKNOWN_SECONDS
    assert left(clock, None, 0.0, 5.0 + UNKNOWN_SECONDS) == 0.0
    assert left(clock, None, 0.0, 5.0 + UNKNOWN_SECONDS, migration="n") == UNKNOWN_SECONDS
