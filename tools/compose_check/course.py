"""Whole migrations in a composed deployment: one that a fault takes back, one to the end."""

import time
from collections.abc import Callable
from typing import Any

from tools.compose_check.engine import CheckError
from tools.compose_check.project import Project

MIGRATION_DEADLINE_SECONDS = 900.0
FAULT_STEP = "cutover-50"
_ENDED = {"promoted", "rolled_back", "held"}
_POLL_SECONDS = 3.0

type Say = Callable[[str], None]


def migrate(project: Project, say: Say, *, fault: str = "") -> dict[str, Any]:
    """Start a migration, break the venue at 50 % if `fault`, and return the status at its end."""
    before = project.status()["migration_id"]
    say(project.migrate("start", "--reason", "compose check").strip())
    deadline = time.monotonic() + MIGRATION_DEADLINE_SECONDS
    shown, injected = "", False
    while time.monotonic() < deadline:
        status = project.status()
        if status["migration_id"] != before:
            text = f"{status['status']} {status['step'] or ''}".strip()
            if text != shown:
                say(text)
                shown = text
            if status["status"] in _ENDED:
                return _judged(status, fault=fault)
            if fault and not injected and status["step"] == FAULT_STEP and status["criteria"]:
                inject(project, fault)
                say(f"fault {fault} for native clients")
                injected = True
        time.sleep(_POLL_SECONDS)
    raise CheckError(
        f"the migration did not end within {MIGRATION_DEADLINE_SECONDS:.0f} s: {shown}"
    )


def inject(project: Project, fault: str) -> None:
    """Break the venue for native clients."""
    _fault(project, fault, "--user-agent", "backpack-feed*")


def mend(project: Project) -> None:
    """End every fault."""
    _fault(project, "--clear")


def roll_back_without_airflow(project: Project, say: Say) -> None:
    """Stop Airflow and PostgreSQL; the command line takes the fleet back all the same."""
    airflow = [name for name in project.containers() if name.startswith("airflow-")]
    project.compose("stop", "--timeout", "20", *airflow, "postgres")
    said = project.compose(
        *("run", "--rm", "-T", "--no-deps", "-e", "LOGNAME=checker"),
        *("migrate", "rollback", "--reason", "compose check: Airflow and database down"),
    )
    proof = [line for line in said.splitlines() if line.startswith("rolled back: ")]
    if not proof:
        raise CheckError("the rollback without Airflow was not verified")
    say(proof[0])
    project.compose("start", "postgres")


def _fault(project: Project, *arguments: str) -> None:
    project.compose(
        *("exec", "-T", "sandbox", "backpack-sandbox", "fault", *arguments),
        *("--url", "https://sandbox:8600", "--ca", "/var/lib/backpack-sandbox/ca.pem"),
    )


def _judged(status: dict[str, Any], *, fault: str) -> dict[str, Any]:
    wanted, variant = ("rolled_back", "ccxt") if fault else ("promoted", "native")
    if status["status"] != wanted:
        raise CheckError(f"the migration is {status['status']}, not {wanted}: {status['reason']}")
    wrong = [i["id"] for i in status["instances"] if i["variant"] != variant or not i["ready"]]
    if wrong:
        raise CheckError(f"not on {variant} and ready: {', '.join(wrong)}")
    return status
