"""`python -m tools.compose_check`, which is `make compose-check`. Not in CI: needs an engine."""

import shutil
import signal
import socket
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer

from tools.compose_check import alerts, course, workers
from tools.compose_check.base_images import build_base_images
from tools.compose_check.engine import CheckError, machine_engine, own_engine
from tools.compose_check.hardening import findings
from tools.compose_check.own_images import build_own_images
from tools.compose_check.parts import Parts
from tools.compose_check.project import Project, make_env

FAILED = 1
PORTS = ("AIRFLOW_PORT", "PROMETHEUS_PORT", "GRAFANA_PORT", "ALERTMANAGER_PORT")


def main(
    scratch: Annotated[Path, typer.Option(help="where images, wheels and .env go")] = Path(
        "/tmp/backpack-compose-check"  # noqa: S108 - may be chosen
    ),
    fault: Annotated[str, typer.Option(help="what takes the first migration back")] = "gap",
    *,
    engine_of_our_own: Annotated[
        bool, typer.Option("--own-engine", help="start dockerd, and end it; as root")
    ] = False,
    base_images: Annotated[
        bool, typer.Option("--base-images", help="build what no registry gives, from Debian")
    ] = False,
    build: Annotated[bool, typer.Option(help="build our images first")] = True,
    celery: Annotated[bool, typer.Option("--celery", help="tasks run on a worker")] = False,
    alertmanager: Annotated[
        bool, typer.Option("--alertmanager", help="the fault's alert has to come to a pager")
    ] = False,
    grafana: Annotated[bool, typer.Option(help="there is an image of Grafana")] = False,
    keep: Annotated[bool, typer.Option("--keep", help="leave the engine's data in place")] = False,
) -> None:
    """Build, start, check, migrate back and forth, tear down. Exit 0 means all of it holds."""
    signal.signal(signal.SIGTERM, _interrupt)
    parts = Parts(celery=celery, alertmanager=alertmanager, grafana=grafana)
    scratch = scratch.absolute()
    scratch.mkdir(parents=True, exist_ok=True)
    try:
        with ExitStack() as stack:
            where = own_engine(scratch / "engine") if engine_of_our_own else machine_engine()
            engine = stack.enter_context(where)
            if base_images:
                _timed("base images", lambda: build_base_images(engine, scratch, parts))
            if build:
                _timed("own images", lambda: build_own_images(engine, scratch, parts))
            env_file = scratch / ".env"
            env_file.unlink(missing_ok=True)
            settings = make_env(env_file, _beginning(parts), parts)
            project = Project(engine, env_file, parts)
            project.compose("down", "--volumes", "--remove-orphans", check=False)
            stack.callback(lambda: _timed("down", project.down))
            _check(project, settings, fault)
    except CheckError as error:
        print(f"compose-check: {error}", file=sys.stderr)
        sys.exit(FAILED)
    finally:
        if engine_of_our_own and not keep:
            shutil.rmtree(scratch, ignore_errors=True)
    _say("everything holds")


def _beginning(parts: Parts) -> dict[str, str]:
    """What .env has before `make env` adds the rest: free ports, and whom to wake."""
    ports = map(str, _free_ports(len(PORTS)))
    pager = alerts.pager_settings() if parts.alertmanager else {}
    return {**dict(zip(PORTS, ports, strict=True)), **pager}


def _check(project: Project, settings: dict[str, str], fault: str) -> None:
    _timed("up", project.up)
    _timed("health", lambda: project.await_health(_say))
    _require_hardened(project, settings)
    with alerts.arriving(project, settings, _say):
        _timed(f"a migration with {fault}", lambda: course.migrate(project, _say, fault=fault))
    course.mend(project)
    _timed("a migration to the end", lambda: course.migrate(project, _say))
    if project.parts.celery:
        workers.require_on_worker(project, _say)
    _say(project.migrate("audit", "verify").strip().splitlines()[0])
    # everything that has been said until now, too
    _require_hardened(project, settings)
    _timed(
        "a rollback without Airflow and database",
        lambda: course.roll_back_without_airflow(project, _say),
    )


def _require_hardened(project: Project, settings: dict[str, str]) -> None:
    wrong = findings(project, settings)
    if wrong:
        raise CheckError("; ".join(wrong))
    _say(
        f"{len(project.containers())} containers: non-root, read-only, no capabilities, limits,"
        " loopback ports, no secret in log or argv"
    )


def _timed(what: str, act: Callable[[], object]) -> None:
    began = time.monotonic()
    act()
    _say(f"{what}: {time.monotonic() - began:.0f} s")


def _free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [int(one.getsockname()[1]) for one in sockets]


def _say(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {text}", flush=True)


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    typer.run(main)
