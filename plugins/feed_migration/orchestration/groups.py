"""Task groups of the phases, and the frame around them. The whole migration and the phase DAGs
are built from the same factories.

    begin (setup) → phase groups → rollback (teardowns: revert, document) → verdict (teardown)

One rollback per DAG run: teardowns run after a failed task, after a kill, and after a person has
marked the run failed, where callbacks and `one_failed` tasks do not. Only `verdict` colours the
run, since the state of a teardown otherwise counts for nothing: those with nothing to take back are
skipped, and what follows them runs all the same.
"""

from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Any

from airflow.sdk import TaskGroup, chain

from feed_migration.model import Step
from feed_migration.orchestration.act_operators import (
    BEGIN,
    AdvanceOperator,
    ReportOperator,
    StopShadowOperator,
)
from feed_migration.orchestration.approval_operator import StepApprovalOperator
from feed_migration.orchestration.begin_operator import BeginOperator
from feed_migration.orchestration.dry_run_operator import CHECKS, CheckOperator
from feed_migration.orchestration.feedback_operator import FeedbackOperator
from feed_migration.orchestration.gate_operator import GateOperator
from feed_migration.orchestration.labels import group_label, labelled, tooltip
from feed_migration.orchestration.passed import outlet
from feed_migration.orchestration.place import Place
from feed_migration.orchestration.rollback_operators import (
    DocumentOperator,
    RevertOperator,
    TakeBackOperator,
    VerdictOperator,
)
from feed_migration.orchestration.telling import TellNotifier

# Retries are for infrastructure: a breach or a refusal fails at once, the journal is waited for
# within a try (`journal_patience`). The way back tries harder, for minutes: an instance that is
# slow to come up is no reason to give up.
FORWARD: dict[str, Any] = {"retries": 2, "retry_delay": timedelta(seconds=3)}
BACK: dict[str, Any] = {"retries": 20, "retry_delay": timedelta(seconds=5)}


def migration_frame(place: Place, steps: Sequence[Step], consumers: Sequence[str] = ()) -> None:
    """Fill the current DAG: setup, the groups of `steps` in order, the way back, the verdict.

    `consumers` are asked for feedback before the report.
    """
    names = tuple(step.name for step in steps if step.phase != "preflight")
    begin = BeginOperator(
        task_id=BEGIN,
        place=place,
        steps=names,
        outlets=[outlet("preflight")],
        **labelled("begin"),
        **_told(place),
        **FORWARD,
    )
    groups = [phase_group(place, step, consumers) for step in steps if step.phase != "preflight"]
    with TaskGroup(
        "rollback",
        group_display_name="Way back",
        tooltip="Puts the fleet back on ccxt unless the journal has proof",
    ):
        revert = RevertOperator(
            task_id="revert",
            place=place,
            steps=names,
            **labelled("revert"),
            **_told(place),
            **BACK,
        )
        document = DocumentOperator(
            task_id="document", place=place, **labelled("document"), **_told(place), **BACK
        )
    verdict = VerdictOperator(
        task_id="verdict",
        place=place,
        steps=names,
        # nothing of the run waits behind it, so it may take its time when it fails, too
        on_failure_callback=TellNotifier(place),
        **labelled("verdict"),
        **_told(place),
        **{**BACK, "retries": 1},
    )
    begin.as_setup()
    chain(begin, *groups)
    # every task, so that the way back never overtakes a parallel one that still runs
    for group in groups:
        group >> revert
    revert.as_teardown(setups=begin)
    document.as_teardown(setups=begin)
    verdict.as_teardown(setups=begin, on_failure_fail_dagrun=True)
    revert >> document >> verdict


def phase_group(place: Place, step: Step, consumers: Sequence[str]) -> TaskGroup:
    """Return the task group of one step of the plan."""
    with TaskGroup(
        step.name.replace("-", "_"), group_display_name=group_label(step), tooltip=tooltip(step)
    ) as group:
        tasks = list(_tasks(place, step))
        if step.approval:
            asked = StepApprovalOperator(
                task_id="approval",
                place=place,
                step=step,
                **labelled("approval", step),
                **_told(place),
                **FORWARD,
            )
            tasks.insert(0, asked)
        asked_consumers = _feedback(place, step, consumers)
        if asked_consumers:
            tasks.insert(-1, asked_consumers)
        if step.phase != "dry_run":
            chain(*tasks)
    return group


def _tasks(place: Place, step: Step) -> Iterable[Any]:
    at: dict[str, Any] = {"place": place, "step": step.name, **_told(place), **FORWARD}
    passing: dict[str, Any] = {**at, "outlets": [outlet(step.phase)]}
    if step.phase == "dry_run":
        for check, argv in CHECKS.items():
            yield CheckOperator(task_id=check, check=check, argv=argv, **labelled(check), **passing)
    if step.phase == "shadow":
        yield AdvanceOperator(task_id="start", **labelled("start"), **at)
    if step.phase == "cutover":
        yield AdvanceOperator(task_id="advance", **labelled("advance", step), **at)
    if step.gate is not None:
        yield GateOperator(task_id="gate", gate=step.gate, **labelled("gate", step), **passing)
    if step.phase == "shadow":
        yield StopShadowOperator(task_id="stop", **labelled("stop"), **at)
    if step.phase == "post_migration":
        yield ReportOperator(task_id="report", **labelled("report"), **passing)


def _feedback(place: Place, step: Step, consumers: Sequence[str]) -> list[Any]:
    """Return a question to each consumer, all asked at once."""
    if step.phase != "post_migration":
        return []
    return [
        FeedbackOperator(
            task_id=f"feedback_{consumer}",
            place=place,
            consumer=consumer,
            task_display_name=f"Feedback of {consumer}",
            doc_md=labelled("feedback")["doc_md"],
            **_told(place),
            **FORWARD,
        )
        for consumer in consumers
    ]


def _told(place: Place) -> dict[str, Any]:
    return {"on_success_callback": TellNotifier(place), "on_skipped_callback": TellNotifier(place)}


def rollback_chain(place: Place) -> None:
    """Fill the current DAG with the way back alone, as plain tasks: its success is what counts."""
    revert = TakeBackOperator(
        task_id="revert", place=place, **labelled("take_back"), **_told(place), **BACK
    )
    document = DocumentOperator(
        task_id="document",
        place=place,
        migration_from="revert",
        **labelled("document"),
        **_told(place),
        **BACK,
    )
    chain(revert, document)
