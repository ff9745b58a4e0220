"""`python -m tools.demo.rehearsal`: the demo's stack for an operator to practise on, by hand.

Nothing starts by itself, and a person is asked before each share of the fleet and before the
stabilisation. It runs until Ctrl-C; what happened stays in the state directory.
"""

import os
import shlex
import sys
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
import yaml

from feed_migration.errors import MigrationError
from feed_migration.plan.reader import PlanError, load_plan
from tools.demo.airflow_env import airflow_commands
from tools.demo.console import (
    ENVIRONMENT,
    console,
    end_by_signals,
    errors,
    print_addresses,
    refuse,
)
from tools.demo.layout import DEFAULT_PORT_BASE, FLEET_SIZE, REPOSITORY, DemoError, Layout
from tools.demo.stack import Stack, running_stack

# how long a question stands in a rehearsal: long enough to read, short enough to see it run out
APPROVAL_TIMEOUT = "30m"
# the demo's gates promote after 20 s: too soon for whoever looks around first
SHORTEST_GATE_SECONDS = 60


def main(
    plan: Annotated[Path, typer.Option(envvar="BACKPACK_PLAN", help="the plan to make it from")] = (
        REPOSITORY / "plans/demo.yaml"
    ),
    port_base: Annotated[int, typer.Option(help="first of about 30 ports")] = DEFAULT_PORT_BASE,
    fleet_size: Annotated[int, typer.Option(min=2, max=10)] = FLEET_SIZE,
) -> None:
    """A stack to practise on: every step waits for a person. Ctrl-C ends it.

    Exit codes: 0 ended by Ctrl-C; 2 bad input; 3 the machine lacks a part, or one did not start.
    """
    home = Path(os.environ.get("BACKPACK_HOME") or REPOSITORY / "var").absolute()
    layout = Layout(home, port_base=port_base, fleet_size=fleet_size)
    end_by_signals()
    try:
        asking = write_asking_plan(plan.absolute(), layout)
        with running_stack(layout, asking, console.print) as stack:
            print_addresses(layout)
            _print_commands(stack)
            _wait(stack)
    except PlanError as error:
        refuse(f"rehearsal: {error}")
    except (DemoError, MigrationError) as error:
        errors.print(f"rehearsal: {error}", style="red", markup=False)
        sys.exit(ENVIRONMENT)
    except KeyboardInterrupt:
        console.print(f"ended; journal, logs and reports are in {layout.home}")


def _wait(stack: Stack) -> NoReturn:
    stack.supervisord.wait()
    raise DemoError(f"supervisord has ended: see {stack.layout.home / 'logs'}")


def write_asking_plan(path: Path, layout: Layout) -> Path:
    """Write the plan `path` with a question before each step that exposes; return where.

    The state directory is emptied at each start, but for its cache.
    """
    original = load_plan(path)
    plan = yaml.safe_load(path.read_text())
    for name, step in _exposing(plan).items():
        gate = original.step(name).gate
        if gate is not None and gate.min_duration_seconds < SHORTEST_GATE_SECONDS:
            # shares may have one gate in common
            step["gate"] = {**step["gate"], "min_duration": f"{SHORTEST_GATE_SECONDS}s"}
        step.setdefault("approval_timeout", APPROVAL_TIMEOUT)
        step["approval"] = True
    asking = layout.home / "cache" / "rehearsal.yaml"
    asking.parent.mkdir(parents=True, exist_ok=True)
    asking.write_text(yaml.safe_dump(plan, sort_keys=False))
    load_plan(asking)
    return asking


def _exposing(plan: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The steps of a plan that ask, by name: each share of the fleet, and the stabilisation."""
    phases = plan["phases"]
    shares = {f"cutover-{step['percent']}": step for step in phases["cutover"]["steps"]}
    return {**shares, "stabilisation": phases["stabilisation"]}


def _print_commands(stack: Stack) -> None:
    home, programs = stack.layout.home, stack.layout.venv_bin
    airflow = " ".join(airflow_commands(programs / "airflow"))
    control = f"supervisorctl -c {shlex.quote(str(home / 'supervisord.conf'))}"
    fault = "backpack-sandbox fault"
    venue = f"--url {stack.layout.rest_url} --ca {shlex.quote(str(stack.layout.ca_file))}"
    environment = {
        "PATH": f"{shlex.quote(str(programs))}:$PATH",
        "BACKPACK_HOME": shlex.quote(str(home)),
        "BACKPACK_PLAN": shlex.quote(str(stack.plan)),
    }
    settings = " ".join(f"{name}={value}" for name, value in environment.items())
    lines = (
        "In another terminal:",
        f"  export {settings}",
        "  backpack-migrate start --reason rehearsal     or backpack_migration in Airflow",
        "  backpack-migrate status --watch",
        "  backpack-migrate approve|hold|resume|rollback --help",
        "Break the venue for the native feed, and mend it:",
        f"  {fault} gap --user-agent 'backpack-feed*' {venue}",
        f"  {fault} --clear {venue}",
        "Stop Airflow, and start it again:",
        f"  {control} stop {airflow}",
        f"  {control} start {airflow}",
        "Ctrl-C ends everything.",
    )
    for text in lines:
        console.print(text, markup=False)


if __name__ == "__main__":
    typer.run(main)
