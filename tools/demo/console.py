"""What the demo and the rehearsal say on the terminal, and the codes they end with."""

import signal
import sys
from types import FrameType
from typing import NoReturn

from rich.console import Console

from tools.demo.airflow_env import ADMIN, admin_password
from tools.demo.layout import Layout

FINDING, BAD_INPUT, ENVIRONMENT, INTERRUPTED = 1, 2, 3, 130

console = Console(highlight=False, soft_wrap=True)
errors = Console(highlight=False, soft_wrap=True, stderr=True)


def print_addresses(layout: Layout) -> None:
    """Say where Airflow, the migration's page and Prometheus are, and how to get in."""
    password = admin_password(layout.home / "airflow")
    console.print(f"Airflow: {layout.airflow_url}  user {ADMIN}  password {password}", markup=False)
    console.print(f"Console: {layout.airflow_url}/plugin/backpack-migration  after the login")
    console.print(f"Prometheus: {layout.prometheus_url}")


def end_by_signals() -> None:
    """End in order by any of them; a shell has its background jobs ignore Ctrl-C, say."""
    for ending in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(ending, _interrupt)


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def refuse(message: str) -> NoReturn:
    """Say what is wrong with the input and end."""
    errors.print(message, style="red", markup=False)
    sys.exit(BAD_INPUT)
