"""One breach, from the first instance that counts it to the last one verified back on ccxt."""

import time
from dataclasses import dataclass

from feed_migration.events import Event
from feed_migration.phases import Status
from tests.chaos.breaches.plan import Trial
from tests.chaos.breaches.stage import Stage
from tests.support.conditions import eventually_sync

GATE_SECONDS = 120.0
BREACH_SECONDS = 60.0
BACK_SECONDS = 180.0
RUN_SECONDS = 180.0


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """Seconds from the breach to the verdict and to the verified fleet; `wrong` is what was not."""

    trial: Trial
    verdict_seconds: float
    back_seconds: float
    by: str
    wrong: tuple[str, ...]

    def __str__(self) -> str:
        """One line."""
        trial = self.trial
        return (
            f"seed {trial.seed}, {trial.percent} %, {trial.fault}, Airflow {trial.airflow}: verdict"
            f" {self.verdict_seconds:.1f} s, back {self.back_seconds:.1f} s, by {self.by}"
            f"{''.join(f'; WRONG: {what}' for what in self.wrong)}"
        )


def run_trial(stage: Stage, trial: Trial) -> Outcome:
    """Cut over, break, and watch the fleet come back; the deployment is calm again at the end."""
    stage.calm()
    run_id = stage.start_run()
    migration_id = eventually_sync(stage.journal.active_migration, GATE_SECONDS)
    step = f"cutover-{trial.percent}"
    eventually_sync(
        lambda: stage.journal.last_tick_seconds(migration_id, step) is not None, GATE_SECONDS
    )
    time.sleep(trial.after_seconds)
    exposed = stage.variants().count("native")
    with stage.airflow_dead(trial.airflow):
        stage.begin_fault(trial.fault)
        eventually_sync(stage.breached, BREACH_SECONDS)
        began = time.time()
        # by what is new only: a fold of the whole journal fifty times a second is load of our own
        seen = stage.journal.events(migration_id)[-1].seq
        eventually_sync(
            lambda: _first(stage.journal.events(migration_id, after_seq=seen), "rollback_verified"),
            BACK_SECONDS,
            lambda: stage.journal.events(migration_id)[-5:],
        )
        assert stage.journal.state(migration_id).status is Status.ROLLED_BACK
        variants = stage.variants()
        stage.end_faults()
    eventually_sync(lambda: stage.run_ended(run_id), RUN_SECONDS)
    events = stage.journal.events(migration_id)
    verdict, back = _first(events, "verdict"), _first(events, "rollback_verified")
    return Outcome(
        trial=trial,
        verdict_seconds=(verdict.at if verdict else time.time()) - began,
        back_seconds=back.at - began if back else float("inf"),
        by=_first(events, "rollback_started").actor.partition(":")[0],
        wrong=tuple(_wrong(stage, trial, exposed, variants, events)),
    )


def _wrong(
    stage: Stage, trial: Trial, exposed: int, variants: list[str], events: list[Event]
) -> list[str]:
    wrong = []
    wanted = -(-len(variants) * trial.percent // 100)
    if exposed != wanted:
        wrong.append(f"{exposed} instances were exposed instead of {wanted}")
    if set(variants) != {"ccxt"}:
        wrong.append(f"the journal said rolled back, the instances said {variants}")
    if set(stage.variants()) != {"ccxt"}:
        wrong.append("an instance left ccxt when Airflow went on")
    if not stage.journal.verify().ok:
        wrong.append("the audit log does not verify")
    if _first(events, "verdict") is None:
        wrong.append("no verdict is in the journal")
    return wrong


def _first(events: list[Event], kind: str) -> Event | None:
    return next((event for event in events if event.kind == kind), None)
