"""`backpack-migrate guard run`: the process beside the fleet that takes it back by itself."""

import fcntl
import json
import logging
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Annotated

import typer

from feed_migration.cli.completion import complete_plans
from feed_migration.cli.parts import AsJson
from feed_migration.deployment import Deployment, home_directory
from feed_migration.errors import EnvironmentUnavailable, Refused
from feed_migration.guard.endpoints import listening
from feed_migration.guard.metrics import guard_registry
from feed_migration.guard.process import Guard
from feed_migration.guard.redeployed import GuardAsDeployed, deployment_or_copy

LOG = logging.getLogger(__name__)

guard_app = typer.Typer(help="The guard: the way back without Airflow.", no_args_is_help=True)


@guard_app.callback()
def _guard() -> None:
    """The guard: the way back without Airflow."""


@guard_app.command("run")
def run(
    plan: Annotated[
        Path,
        typer.Option(
            envvar="BACKPACK_PLAN",
            help="The plan of the migrations.",
            autocompletion=complete_plans,
        ),
    ] = Path("plans/demo.yaml"),
    host: Annotated[str, typer.Option(help="Where /healthz and /metrics listen.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")] = 0,
    interval: Annotated[float, typer.Option(min=0.05, help="Seconds between two rounds.")] = 0.5,
    *,
    as_json: AsJson = False,
) -> None:
    """Run until SIGTERM: revert on a Rollback verdict, an expired lease, or a breach of its own."""
    handler = logging.StreamHandler()
    handler.setFormatter(
        _JsonLine() if as_json else _OneLine("%(asctime)s %(levelname)s %(message)s")
    )
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    deployment = deployment_or_copy(home_directory())
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    with _alone(deployment), ExitStack() as stack:
        actor, path = f"guard:{socket.gethostname()}", plan.absolute()
        guard = GuardAsDeployed(deployment, lambda it: Guard(it, path, actor=actor))
        listens = stack.enter_context(_listening(guard, host, port))
        LOG.info("guarding %s, http://%s:%d/healthz", deployment.home, host, listens)
        if as_json:
            url = f"http://{host}:{listens}/healthz"
            typer.echo(json.dumps({"guarding": str(deployment.home), "healthz": url}))
        while not stop.is_set():
            try:
                guard.poll()
            except Exception:
                # a fault of its own must not end the one process that is there for faults
                LOG.exception("a round failed")
            stop.wait(interval)
    # a query that hangs must not hold the process
    os._exit(0)


class _OneLine(logging.Formatter):
    """What a venue or a library says stays one record and moves no cursor."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record with control characters escaped."""
        text = super().format(record)
        return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


class _JsonLine(logging.Formatter):
    """A record as one JSON object."""

    def format(self, record: logging.LogRecord) -> str:
        """Return time (unix seconds), level and message, with the traceback where there is one."""
        fields = {
            "at": record.created,
            "level": record.levelname,
            "message": record.getMessage(),
        }
        if record.exc_info:
            fields["traceback"] = self.formatException(record.exc_info)
        return json.dumps(fields)


def _listening(guard: GuardAsDeployed, host: str, port: int) -> AbstractContextManager[int]:
    registry = guard_registry(lambda: guard.sight, time.time)  # noqa: TID251 - the process's edge
    try:
        return listening(host, port, lambda: guard.health, registry, time.monotonic)
    except OSError as error:
        raise EnvironmentUnavailable(
            f"{host}:{port} cannot be listened on ({error.strerror})", "choose another --port"
        ) from error


@contextmanager
def _alone(deployment: Deployment) -> Iterator[None]:
    """Hold the deployment's guard lock: a second one here would only double every query.

    Where it cannot be had, as on a disk that turned read-only, two guards are better than none.
    """
    path = deployment.guard_folder / "lock"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        opened = path.open("rb" if path.exists() else "ab")
    except OSError as error:
        LOG.warning("%s cannot be opened, nothing keeps a second guard away: %s", path, error)
        yield
        return
    with opened as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Refused(
                f"another guard runs over {deployment.home}", "stop it, or leave it to its work"
            ) from None
        yield
