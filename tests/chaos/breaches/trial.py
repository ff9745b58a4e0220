"""One breach, from the first instance that counts it to the last one verified back on ccxt."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

from feed_migration.events import Event
from feed_migration.model import Decision
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
    early = stage.breached()
    with stage.airflow_dead(trial.airflow):
        broken_at = time.time()
        stage.begin_fault(trial.fault)
        eventually_sync(stage.breached, BREACH_SECONDS)
        began = time.time()
        # by what is new only: a fold of the whole journal fifty times a second is load of our own
        seen = stage.journal.events(migration_id)[-1].seq
        eventually_sync(
            lambda: (
                _first(stage.journal.events(migration_id, after_seq=seen), "rollback_verified")
                # who was stopped in a transaction keeps the journal's lock for as long
                or stage.is_spooled("rollback_verified")
            ),
            BACK_SECONDS,
            lambda: stage.journal.events(migration_id)[-5:],
        )
        variants = stage.variants()
        stage.end_faults()
    eventually_sync(lambda: stage.run_ended(run_id), RUN_SECONDS)
    eventually_sync(
        lambda: stage.journal.state(migration_id).status is Status.ROLLED_BACK, BACK_SECONDS
    )
    events = stage.journal.events(migration_id)
    verdict, back = _first(events, "verdict"), _first(events, "rollback_verified")
    wrong = [*_wrong(stage, trial, exposed, variants, events), *unprovoked(events, broken_at)]
    if early:
        wrong.append("a native instance counted a breach before the fault")
    return Outcome(
        trial=trial,
        verdict_seconds=(verdict.at if verdict else time.time()) - began,
        back_seconds=back.at - began if back else float("inf"),
        by=_first(events, "rollback_started").actor.partition(":")[0],
        wrong=(*wrong, *resurrected(events, trial)),
    )


def unprovoked(events: Sequence[Event], broken_at: float) -> list[str]:
    """A way back that the fault did not bring about: its seconds would say nothing.

    `broken_at` is when the venue was broken, in unix seconds.
    """
    verdict, back = _first(events, "verdict"), _first(events, "rollback_started")
    wrong = []
    if verdict is None:
        wrong.append("no verdict is in the journal")
    elif verdict.body.get("decision") != Decision.ROLLBACK:
        wrong.append(f"the gate said {verdict.body.get('decision')}")
    elif verdict.at < broken_at:
        wrong.append(f"the verdict came {broken_at - verdict.at:.1f} s before the fault")
    if back is None or back.at < broken_at:
        wrong.append("the way back did not begin after the fault")
    return wrong


def resurrected(events: Sequence[Event], trial: Trial) -> list[str]:
    """A dead Airflow that took the fleet back all the same: only the guard can have done it."""
    back = _first(events, "rollback_started")
    if trial.airflow == "alive" or back is None or back.actor.startswith("guard"):
        return []
    return [f"{back.actor} took the fleet back, and Airflow was {trial.airflow}"]


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
    return wrong


def _first(events: Sequence[Event], kind: str) -> Event | None:
    return next((event for event in events if event.kind == kind), None)
