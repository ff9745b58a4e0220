"""`python -m tools.demo`: what `make demo` runs."""

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer
from rich.live import Live

from feed_migration.airflow_api import AirflowApi
from feed_migration.deployment import load_deployment
from feed_migration.errors import MigrationError
from feed_migration.journal.store import Journal
from feed_migration.plan.reader import PlanError, load_plan
from tools.demo.console import (
    ENVIRONMENT,
    FINDING,
    INTERRUPTED,
    console,
    end_by_signals,
    errors,
    print_addresses,
    refuse,
)
from tools.demo.faults import FAULTS
from tools.demo.layout import DEFAULT_PORT_BASE, FLEET_SIZE, REPOSITORY, DemoError, Layout
from tools.demo.outcome import Outcome, conclude
from tools.demo.progress import Snapshot, line, render
from tools.demo.report import write_reports
from tools.demo.stack import running_stack
from tools.demo.watch import Watch


def main(
    fault: Annotated[str | None, typer.Option(help=f"break the venue: {', '.join(FAULTS)}")] = None,
    plan: Annotated[Path, typer.Option(envvar="BACKPACK_PLAN", help="the plan to run")] = REPOSITORY
    / "plans/demo.yaml",
    port_base: Annotated[int, typer.Option(help="first of about 30 ports")] = DEFAULT_PORT_BASE,
    fleet_size: Annotated[int, typer.Option(min=2, max=10)] = FLEET_SIZE,
) -> None:
    """A whole migration on this machine, or its automatic rollback after a fault.

    Exit codes: 0 what should happen, happened; 1 something else did; 2 bad input; 3 the machine
    lacks a part, or one did not start; 130 interrupted.
    """
    if fault is not None and fault not in FAULTS:
        refuse(f"demo: unknown fault {fault!r}: choose one of {', '.join(FAULTS)}")
    home = Path(os.environ.get("BACKPACK_HOME") or REPOSITORY / "var").absolute()
    layout = Layout(home, port_base=port_base, fleet_size=fleet_size)
    end_by_signals()
    try:
        outcome = run(layout, plan.absolute(), fault)
    except PlanError as error:
        refuse(f"demo: {error}")
    except (DemoError, MigrationError) as error:
        errors.print(f"demo: {error}", style="red", markup=False)
        sys.exit(ENVIRONMENT)
    except KeyboardInterrupt:
        console.print("interrupted; every process is stopped")
        sys.exit(INTERRUPTED)
    sys.exit(0 if outcome.as_expected else FINDING)


def run(layout: Layout, plan_path: Path, fault: str | None) -> Outcome:
    """Bring the stack up, migrate, conclude, and leave nothing running."""
    began = time.monotonic()
    plan = load_plan(plan_path)
    with running_stack(layout, plan_path, console.print) as stack:
        deployment = load_deployment(layout.home)
        journal = Journal(deployment.journal_url)
        airflow = AirflowApi(deployment.airflow)
        print_addresses(layout)
        run_id = airflow.trigger("backpack_migration", {"reason": "demo"})
        watch = Watch(stack, airflow, plan, journal, fault=fault, began=began)
        state = _follow(watch, run_id)
        if watch.migration_id is None:
            raise DemoError(f"the migration never began: see {layout.home / 'airflow' / 'logs'}")
        console.print("counting every trade of the venue against the tapes")
        outcome, trades = conclude(
            stack,
            journal,
            watch.migration_id,
            fault=fault,
            fault_injected=watch.injected,
            dag_run_state=state,
            began=began,
        )
        write_reports(stack, journal, watch.migration_id, outcome, trades)
    _print_outcome(layout, outcome)
    return outcome


def _follow(watch: Watch, run_id: str) -> str:
    if not console.is_terminal:
        return watch.follow(run_id, _printer())
    with Live(console=console, refresh_per_second=4) as live:
        return watch.follow(run_id, lambda snapshot: live.update(render(snapshot)))


def _printer() -> Callable[[Snapshot], None]:
    """Print one line per change, without the clock's own changes."""
    last = ""

    def show(snapshot: Snapshot) -> None:
        nonlocal last
        text = line(snapshot)
        _, _, rest = text.partition(" ")
        if rest != last:
            console.print(text, markup=False)
            last = rest

    return show


def _print_outcome(layout: Layout, outcome: Outcome) -> None:
    style = "bold green" if outcome.as_expected else "bold red"
    console.print(f"{outcome.outcome} after {outcome.wall_s:.0f} s", style=style)
    console.print(
        f"instances {outcome.instances}, trades published {outcome.trades_published}, "
        f"missing {outcome.trades_missing}, duplicated {outcome.trades_duplicated}, "
        f"audit {'verified' if outcome.audit_ok else 'BROKEN'}, DAG run {outcome.dag_run_state}"
    )
    if outcome.breach_to_rollback_s is not None:
        console.print(f"breach to verified rollback: {outcome.breach_to_rollback_s:.1f} s")
    for surprise in outcome.surprises:
        console.print(f"unexpected: {surprise}", style="red", markup=False)
    console.print(f"report: {layout.home / 'report.md'}")


if __name__ == "__main__":
    typer.run(main)
