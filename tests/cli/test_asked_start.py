"""A start that no migration has come of: which one, and for how long there is hope."""

import pytest

from feed_migration.cli.asked_start import (
    BEHIND_SECONDS,
    PATIENCE_SECONDS,
    AskedStart,
    asked_start,
    require_hope,
)
from feed_migration.dag_run import Driver
from feed_migration.errors import Refused
from feed_migration.events import Event

START = AskedStart(run=Driver(dag_id="d", run_id="r"))


def note(**body):
    return Event(
        seq=1,
        at=1.0,
        migration_id="none",
        kind="audit_note",
        actor="cli:bo",
        body=body,
        prev_hash="",
        hash="",
    )


def start(run_id):
    return note(note="shell", command="start", dag_id="d", run_id=run_id)


def test_the_newest_start_is_the_one_that_is_waited_for():
    """With its own refusal, not another's; an answer at a shell is no start."""
    refused = note(note="refused", dag_id="d", run_id="q", text="no")
    answer = note(note="shell", command="approve", dag_id="d", run_id="x")
    assert asked_start([]) is None
    assert asked_start([answer]) is None
    assert asked_start([start("q"), refused, start("r"), answer]) == START
    assert asked_start([start("q"), refused]).refused == "no"


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        ({"waited_seconds": PATIENCE_SECONDS}, "has begun no migration for 300 s"),
        (
            {"waited_seconds": 9.0, "run_state": "failed", "over_seconds": BEHIND_SECONDS},
            "began no migration: Airflow says failed",
        ),
    ],
)
def test_hope_ends_in_time(facts, words):
    """With what is known of why."""
    with pytest.raises(Refused, match=words):
        require_hope(START, **facts)


@pytest.mark.parametrize("state", ["", "queued", "running", "failed"])
def test_a_run_that_may_still_begin_is_waited_for(state):
    """Also one that is over this moment: the journal may be read a second later."""
    require_hope(START, waited_seconds=PATIENCE_SECONDS - 1, run_state=state, over_seconds=0.0)
