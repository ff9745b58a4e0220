"""A rollback is verified once no shadow runs on: the next migration would be judged on it."""

from itertools import chain, repeat

import pytest

from feed_migration.errors import FleetUnavailable, RollbackUnverified
from feed_migration.phases import Status
from feed_migration.take_back import JOIN_SECONDS, take_back
from tests.rollback.acts import revert, verify
from tests.support.memory_fleet import Killed, MemoryFleet
from tests.support.migration_plans import begin, gate, pass_steps


@pytest.fixture
def shadowed(journal):
    """A fleet in its shadow phase, whose gate has just said Rollback."""
    fleet, migration_id = MemoryFleet(), begin(journal)
    pass_steps(journal, fleet, migration_id, until="shadow")
    fleet.start_shadow(journal.state(migration_id).epoch)
    gate(journal, migration_id, "shadow", "Rollback")
    return fleet, migration_id


def at_once(journal, migration_id):
    """The clock of who comes when a little of the patience with the other is left."""
    at = journal.events(migration_id, "rollback_act")[-1].at
    return lambda: at + JOIN_SECONDS - 0.5


def killed_before_it_stops_them(fleet, journal, migration_id, spool):
    """The guard has the handlers back, has said that it stops the shadows, and dies."""

    def die(act):
        if act == "stop_shadow":
            raise Killed

    fleet.before_act = die
    with pytest.raises(Killed):
        take_back(fleet, journal, migration_id, "guard:a", "breach", spool=spool)
    fleet.before_act = lambda act: None


def test_who_joins_a_rollback_that_was_killed_before_its_shadows_stops_them(
    journal, spool, shadowed
):
    """The fence is raised and every handler on ccxt; that alone is no end."""
    fleet, migration_id = shadowed
    killed_before_it_stops_them(fleet, journal, migration_id, spool)

    clock = at_once(journal, migration_id)
    taken = take_back(fleet, journal, migration_id, "airflow", "r", spool=spool, clock=clock)

    assert taken.result is not None
    assert not fleet.shadow_runs
    assert journal.state(migration_id).status is Status.ROLLED_BACK


def test_who_joins_waits_for_shadows_that_are_being_stopped(journal, spool, shadowed, monkeypatch):
    """The first one is at it and alive: nothing is done twice."""
    fleet, migration_id = shadowed
    revert(fleet, journal, migration_id, spool)
    left = chain(repeat(("shadow-00",), 2), repeat(()))
    monkeypatch.setattr(fleet, "remaining", lambda ids: next(left) if ids else ())

    taken = take_back(fleet, journal, migration_id, "airflow", "r", spool=spool)

    assert taken.result is None
    assert journal.state(migration_id).status is Status.ROLLED_BACK


def test_a_shadow_that_runs_on_is_named_behind_the_handlers(journal, spool, shadowed):
    """Handlers are proven first; the reason says what the shadow is."""
    fleet, migration_id = shadowed
    killed_before_it_stops_them(fleet, journal, migration_id, spool)
    with pytest.raises(RollbackUnverified, match="shadow-00: a shadow that still runs") as caught:
        verify(fleet, journal, migration_id, spool, deadline_seconds=0.1)
    assert caught.value.instances == ("shadow-00",)
    fleet.dry.add("feed-07")
    with pytest.raises(RollbackUnverified, match="feed-07"):
        verify(fleet, journal, migration_id, spool, deadline_seconds=0.1)


@pytest.mark.parametrize("answers", [False, True])
def test_where_nobody_lists_them_shadows_that_answer_count(
    journal, spool, shadowed, monkeypatch, answers
):
    """An API server that is down keeps no fleet unverified that has no shadow any more."""
    fleet, migration_id = shadowed
    revert(fleet, journal, migration_id, spool)
    fleet.shadow_runs = answers

    def away(ids):
        raise FleetUnavailable("the API server does not answer")

    monkeypatch.setattr(fleet, "remaining", away)
    if answers:
        with pytest.raises(RollbackUnverified, match="shadow-00"):
            verify(fleet, journal, migration_id, spool, deadline_seconds=0.1)
    else:
        verify(fleet, journal, migration_id, spool)
        assert journal.state(migration_id).status is Status.ROLLED_BACK


def test_a_verified_rollback_with_a_shadow_left_is_done_again(journal, spool, shadowed):
    """Verified by an older version, or started since by hand: whoever asks again stops it."""
    fleet, migration_id = shadowed
    take_back(fleet, journal, migration_id, "guard:a", "breach", spool=spool)
    fleet.shadow_runs = True
    taken = take_back(fleet, journal, migration_id, "ana", "asked for", spool=spool)
    assert taken.result is not None
    assert not fleet.shadow_runs
    assert journal.state(migration_id).status is Status.ROLLED_BACK
