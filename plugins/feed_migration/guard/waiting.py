"""For whom a migration waits besides approvals: consumers, and who starts the next phase. Pure."""

from feed_migration.guard.sight import Sight, Story
from feed_migration.lease import ended_dag
from feed_migration.phases import Status

# its runs go through every phase: none of them leaves the next one to a person
WHOLE_MIGRATION = "backpack_migration"


def feedback_since(sight: Sight, now_unix: float) -> float | None:
    """Return since when consumers are asked how they are served, in unix seconds.

    None where nobody is, or all have answered, or the time to answer is over: then Airflow, which
    goes on without them, is what is waited for.
    """
    story = _running(sight)
    if story is None:
        return None
    asked = (one.since_unix for one in story.asked.values() if now_unix < one.until_unix)
    return min(asked, default=None)


def next_phase_since(sight: Sight) -> float | None:
    """Return since when a person is to start the DAG of the next phase, in unix seconds.

    None from when that has joined the migration; and where the DAG that ended has itself left a
    step to be done, which is a failure and no wait.
    """
    story, lease = _running(sight), sight.known.lease if sight.known else None
    over = ended_dag(lease) if lease else ""
    if story is None or lease is None or over in {"", WHOLE_MIGRATION} or over != story.driver:
        return None
    state = story.state
    left = (facts for facts in state.steps if str(facts.get("name")) not in state.promoted)
    phase = next((facts.get("phase") for facts in left), None)
    return lease.renewed_at if phase is not None and over != f"backpack_{phase}" else None


def _running(sight: Sight) -> Story | None:
    story = sight.story
    return story if story is not None and story.state.status is Status.RUNNING else None
