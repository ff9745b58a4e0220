"""What an act has come to, in words, and whether anybody of Airflow carries it on. Pure.

The console asks Airflow, and its scheduler does it: while that is not heard, what was asked waits,
and a person who believes otherwise waits as well. Gates wait in its triggerer.
"""

from dataclasses import dataclass

from feed_migration.markdown import utc
from feed_migration.words import counted

AT_A_SHELL = "`backpack-migrate rollback --reason …` on a host of the fleet"
_ANSWERED = {"Approve": "approved", "Reject": "rejected"}

# `done` is the text; `waits` that nobody carries it on yet
type Told = dict[str, str | bool]


@dataclass(frozen=True, kw_only=True)
class Silence:
    """A part of Airflow is not heard; `since_unix` is its last sign of life, None without any."""

    since_unix: float | None

    @property
    def words(self) -> str:
        """Return it as what follows the part's name."""
        if self.since_unix is None:
            return "has never been heard"
        return f"has not been heard since {utc(self.since_unix)}"


def standing_notice(scheduler: Silence | None, triggerer: Silence | None) -> str:
    """Return what the page says for as long as one of the two is not heard, "" while both are."""
    if scheduler is not None:
        also = f", its triggerer {triggerer.words}" if triggerer else ""
        return (
            f"Airflow's scheduler {scheduler.words}{also}: what is asked of Airflow waits for it. "
            f"A rollback from the shell works without it: {AT_A_SHELL}"
        )
    if triggerer is not None:
        return (
            f"Airflow's triggerer {triggerer.words}: no gate is judged until it runs again. The "
            "guard goes on asking, and takes what is exposed back on a breach or when the lease "
            "ends: start the triggerer"
        )
    return ""


def rollback_asked(dag_id: str, run_id: str, silence: Silence | None) -> Told:
    """Return what is known once a run of the way back is queued: that it is, and no more."""
    if silence is None:
        return _done(f"asked of Airflow: {dag_id} {run_id}")
    return _waits(f"asked of Airflow, whose scheduler {silence.words}: run {AT_A_SHELL}")


def answered(step: str, option: str, silence: Silence | None) -> Told:
    """Return what an answer to the question of `step` has come to; Airflow keeps it in any case."""
    what = f"{step} is {_ANSWERED[option]}"
    if silence is None:
        return _done(what)
    what = f"{what} in Airflow, whose scheduler {silence.words}"
    if option == "Approve":
        return _waits(f"{what}: the step begins once it runs again, start it")
    return _waits(f"{what}: for the fleet to go back now, run {AT_A_SHELL}")


def held(step: str, silence: Silence | None) -> Told:
    """Return what a hold has come to: it is in the journal, whatever of Airflow runs."""
    if silence is None:
        return _done(f"{step} is held")
    return _waits(
        f"{step} is held; Airflow's scheduler {silence.words}: once it runs again the DAG run of "
        "the hold ends, and can be resumed"
    )


def resumed(step: str, cleared: int, silence: Silence | None) -> Told:
    """Return what clearing a held gate has come to."""
    tasks = f"{counted(cleared, 'task')} cleared"
    if silence is None:
        return _done(f"{step} is watched anew: {tasks}")
    return _waits(
        f"asked of Airflow, whose scheduler {silence.words}: {step} is watched anew once it runs "
        f"again ({tasks}), start it"
    )


def _done(text: str) -> Told:
    return {"done": text, "waits": False}


def _waits(text: str) -> Told:
    return {"done": text, "waits": True}
