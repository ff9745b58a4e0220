"""`backpack-migrate plan check` and `gate replay`: both work offline, on files alone."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from feed_migration.cli.completion import complete_plans
from feed_migration.cli.parts import AsJson, say
from feed_migration.document.reader import PlanError
from feed_migration.gates.replay import ReplayLine, replay
from feed_migration.gates.trace import load_trace
from feed_migration.model import Step
from feed_migration.plan.reader import load_plan

plan_app = typer.Typer(help="Plans: phases, steps, gates, thresholds.", no_args_is_help=True)
gate_app = typer.Typer(help="Gates: how a step is decided.", no_args_is_help=True)


# A callback keeps the name of a lone command: `plan check`, not `plan`.
@plan_app.callback()
def _plan() -> None:
    """Plans: phases, steps, gates, thresholds."""


@gate_app.callback()
def _gate() -> None:
    """Gates: how a step is decided."""


@plan_app.command("check")
def check(
    file: Annotated[
        Path,
        typer.Argument(
            help="The plan, for example plans/production.yaml.", autocompletion=complete_plans
        ),
    ],
    *,
    as_json: AsJson = False,
) -> None:
    """Validate a plan: every mistake with its line. Exit code 2 if there is one."""
    try:
        plan = load_plan(file)
    except PlanError as error:
        _tell_mistakes(error, as_json=as_json)
        raise typer.Exit(error.exit_code) from error
    say(
        {
            "file": str(file),
            "plan": plan.name,
            "sha256": plan.sha256,
            "steps": [step_facts(step) for step in plan.steps],
        },
        [
            f"{file}: plan {plan.name!r} is valid, sha256 {plan.sha256}",
            *(f"  {step_line(step)}" for step in plan.steps),
        ],
        as_json=as_json,
    )


@gate_app.command("replay")
def replay_trace(
    file: Annotated[Path, typer.Argument(help="The recorded trace, YAML or JSON.")],
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON object per tick, and a last one for the end.")
    ] = False,
) -> None:
    """Judge recorded measurements offline, one verdict line per tick. Exit code 2 if unreadable."""
    try:
        trace = load_trace(file)
    except PlanError as error:
        _tell_mistakes(error, as_json=as_json)
        raise typer.Exit(error.exit_code) from error
    for line in replay(trace):
        typer.echo(json.dumps(line.to_json(), allow_nan=False) if as_json else verdict_line(line))


def _tell_mistakes(error: PlanError, *, as_json: bool) -> None:
    """Print every mistake of a file on stderr: a line each, or one JSON document."""
    if not as_json:
        typer.echo(str(error), err=True)
        return
    document = {
        "error": " ".join(error.problem.split()),
        "remedy": f"correct {error.path}",
        "exit_code": error.exit_code,
        "mistakes": [
            {"line": one.line, "key": one.where, "text": one.text} for one in error.problems
        ],
    }
    typer.echo(json.dumps(document), err=True)


def step_facts(step: Step) -> dict[str, Any]:
    """A step of a plan as JSON values; `gate` None where nothing is watched."""
    gate = step.gate
    return {
        "name": step.name,
        "phase": step.phase,
        "percent": step.percent,
        "approval": step.approval,
        "gate": gate
        and {
            "interval_seconds": gate.interval_seconds,
            "min_duration_seconds": gate.min_duration_seconds,
            "max_duration_seconds": gate.max_duration_seconds,
            "on_blind": str(gate.on_blind),
            "criteria": [criterion.name for criterion in gate.criteria],
        },
    }


def step_line(step: Step) -> str:
    """A step of a plan in one line, for people."""
    parts = ["after approval"] if step.approval else []
    if (gate := step.gate) is not None:
        parts.append(
            f"{len(gate.criteria)} criteria every {gate.interval_seconds:g} s,"
            f" {gate.min_duration_seconds:g} to {gate.max_duration_seconds:g} s,"
            f" blind: {gate.on_blind}"
        )
    return f"{step.name:<15} {', '.join(parts)}".rstrip()


def verdict_line(line: ReplayLine) -> str:
    """A line of a replay, for people."""
    measured = " ".join(f"{name}={outcome}" for name, outcome in line.measurements.items())
    why = "; ".join(reason.text for reason in line.reasons)
    return f"{line.at_seconds:>8g} s  {line.decision:<8}  {measured}  {why}".rstrip()
