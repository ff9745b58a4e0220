"""Phase 1 as tasks: the native feed's own tests, and its credentials against the venue."""

import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowFailException

from feed_migration.orchestration import runtime as runtimes
from feed_migration.orchestration.act_operators import ForwardOperator, migration_of, note_start
from feed_migration.orchestration.actor import actor_of
from feed_migration.orchestration.passed import announce
from feed_migration.orchestration.place import PROJECT_ROOT
from feed_migration.orchestration.preflight import DRY_RUN_TESTS
from feed_migration.orchestration.runtime import Runtime

if TYPE_CHECKING:
    from feed_migration.deployment import Deployment
    from feed_migration.journal.store import Journal

_HOME = "AIRFLOW_HOME"


def tests_argv(deployment: "Deployment") -> tuple[str, ...]:  # noqa: ARG001 - one shape for all checks
    """Run the integration tests of the native feed, which bring their own venue."""
    return ("-m", "pytest", "-q", "--no-header", "-p", "no:cacheprovider", str(DRY_RUN_TESTS))


def auth_check_argv(deployment: "Deployment") -> tuple[str, ...]:
    """Check the deployment's credentials by a signed request; the key stays in its file."""
    venue = deployment.venue
    authority = ("--ca-file", str(venue.ca_file)) if venue.ca_file else ()
    return (
        *("-m", "tools.backpack_auth_check"),
        *("--credentials", str(deployment.credentials_file)),
        *("--rest-url", venue.rest_url),
        *authority,
    )


CHECKS: Mapping[str, Callable[["Deployment"], Sequence[str]]] = {
    "tests": tests_argv,
    "auth_check": auth_check_argv,
}


class CheckOperator(ForwardOperator):
    """One check of the dry run as a subprocess; its output is the task's log, 0 is a pass.

    `argv` follows the interpreter. The last of CHECKS to pass promotes the step.
    """

    def __init__(
        self, *, step: str, check: str, argv: Callable[["Deployment"], Sequence[str]], **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.step, self.check, self.argv = step, check, argv
        self._process: subprocess.Popen[str] | None = None

    def act(self, runtime: Runtime, context: Any) -> None:
        """Run the check unless the step is promoted already."""
        migration_id = migration_of(context)
        if self.step in runtime.journal.state(migration_id).promoted:
            self.log.info("%s is promoted already", self.step)
            return
        note_start(runtime, migration_id, self.step, actor_of(context))
        code = self._run(self.argv(runtime.deployment), _environment(runtime, os.environ))
        body = {"step": self.step, "check": self.check, "exit_code": code}
        actor = actor_of(context)
        runtime.journal.append("audit_note", migration_id=migration_id, actor=actor, body=body)
        if code != 0:
            raise AirflowFailException(
                f"{self.check} failed with exit code {code}, see the log above"
            )
        if _passed(runtime.journal, migration_id, self.step) >= set(CHECKS):
            runtimes.promote(runtime, self.step, migration_id, actor)
            announce(context, runtime.journal.state(migration_id), self.step, actor)

    def on_kill(self) -> None:
        """Take the subprocess down with the task."""
        if self._process is not None:
            self._process.terminate()

    def _run(self, argv: Sequence[str], environment: dict[str, str]) -> int:
        with subprocess.Popen(  # noqa: S603 - our own interpreter and module
            [sys.executable, *argv],
            cwd=PROJECT_ROOT,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as process:
            self._process = process
            for line in process.stdout or ():
                self.log.info("%s", line.rstrip())
        return process.returncode


def _environment(runtime: Runtime, environ: Mapping[str, str]) -> dict[str, str]:
    """What a check needs: not Airflow's settings, connections and variables, which hold secrets."""
    kept = {k: v for k, v in environ.items() if k == _HOME or not k.startswith("AIRFLOW")}
    flag = {"CRYPTOFEED_BACKPACK_NATIVE": "true", "BACKPACK_HOME": str(runtime.place.home)}
    return {**kept, **flag}


def _passed(journal: "Journal", migration_id: str, step: str) -> set[str]:
    """Return the checks of `step` whose latest run passed."""
    latest = {
        str(event.body["check"]): event.body["exit_code"]
        for event in journal.events(migration_id=migration_id, kind="audit_note")
        if event.body.get("step") == step and "check" in event.body
    }
    return {check for check, code in latest.items() if code == 0}
