"""For whom a migration waits besides approvals: consumers, and who starts the next phase. Pure."""

from feed_migration.guard.sight import Sight, Story
from feed_migration.next_phase import start_awaited_since
from feed_migration.phases import Status


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
    """Return since when a person is to start the DAG of the next phase, in unix seconds."""
    story, known = sight.story, sight.known
    if story is None or known is None:
        return None
    return start_awaited_since(story.state, known.lease, story.driver)


def _running(sight: Sight) -> Story | None:
    story = sight.story
    return story if story is not None and story.state.status is Status.RUNNING else None
