"""What speaks for the next step, as Markdown for the person who is asked. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any

from feed_migration.addresses import Addresses
from feed_migration.gate_record import explain
from feed_migration.markdown import cell, number, utc
from feed_migration.model import Approver, Measurement, Step
from feed_migration.phases import MigrationState


def approval_body(
    step: Step,
    state: MigrationState,
    verdicts: Sequence[Mapping[str, Any]],
    measured: Sequence[Measurement],
    addresses: Addresses,
    *,
    until_unix: float,
) -> str:
    """Return the text of the question whether `step` may begin.

    `verdicts` are the bodies of all so far, `measured` the rows of the last one's run in order.
    """
    verdict = verdicts[-1] if verdicts else None
    parts = [
        _what(step, state),
        _rules(step, until_unix),
        _judged(verdict),
        criteria_table(measured, addresses) if verdict is not None else "",
        _earlier(verdicts[:-1]),
        " · ".join(f"[{name}]({url})" for name, url in addresses.pages()),
    ]
    return "\n\n".join(filter(None, parts)) + "\n"


def who(approvers: Sequence[Approver]) -> str:
    """Return who may answer, in words."""
    return ", ".join(cell(one.name) for one in approvers) or "whoever may edit tasks in Airflow"


def criteria_table(measured: Sequence[Measurement], addresses: Addresses) -> str:
    """Return the last measurement of each criterion; its name leads to the query's graph."""
    latest = {measurement.criterion: measurement for measurement in measured}
    if not latest:
        return "Its measurements are not in the journal."
    lines = ["| criterion | outcome | value | threshold |", "| --- | --- | --- | --- |"]
    for row in latest.values():
        name = cell(row.criterion)
        linked = f"[{name}]({addresses.graph(row.query)})" if row.query else name
        values = (str(row.outcome), number(row.value), row.threshold)
        lines.append(f"| {linked} | {' | '.join(cell(value) for value in values)} |")
    return "\n".join(lines)


def _rules(step: Step, until_unix: float) -> str:
    return (
        f"**Without an answer until {utc(until_unix)} it is a No. A No takes every instance back "
        f"to ccxt.** May answer: {who(step.approvers)}."
    )


def _what(step: Step, state: MigrationState) -> str:
    act = f"{step.percent} % of the fleet goes to the native feed" if step.percent else step.phase
    return (
        f"If you approve: **{act}**. Migration `{state.migration_id}`, plan `{state.plan_name}`; "
        f"on native now: {len(state.exposed)} instances. "
        f"Promoted: {', '.join(state.promoted) or 'nothing yet'}."
    )


def _judged(verdict: Mapping[str, Any] | None) -> str:
    if verdict is None:
        return "No gate has run yet."
    return f"Last gate, **{cell(verdict.get('step'))}**: {cell(explain(dict(verdict)))}"


def _earlier(verdicts: Sequence[Mapping[str, Any]]) -> str:
    lines = [f"* {cell(one.get('step'))}: {cell(explain(dict(one)))}" for one in verdicts]
    return "\n".join(["Before that:", "", *lines]) if lines else ""
