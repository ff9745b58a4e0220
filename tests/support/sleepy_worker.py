"""A worker that stops itself (SIGSTOP) at a chosen point of a forward step; it is run as a process.

Arguments: the migration's id, and where to stop: `start` (before it writes that the step begins),
`act` (before the fleet is asked), `fence` (before it raises the fence), `write` (before a file of
supervisord's is written), `stop` (before supervisord is to stop an instance) or `patch` (before a
request to the API server is sent).
"""

import os
import signal
import sys
from types import SimpleNamespace
from typing import Any

STEP = "cutover-50"


def main(migration_id: str, where: str) -> None:
    """Advance as Airflow's task does."""
    from airflow.sdk.exceptions import AirflowFailException

    from feed_migration.orchestration.act_operators import AdvanceOperator
    from feed_migration.orchestration.place import current_place

    _stop_before(*_POINTS[where]())
    task = AdvanceOperator(task_id="advance", place=current_place(), step=STEP)
    instance = SimpleNamespace(
        task_id="advance", try_number=1, xcom_pull=lambda task_ids: migration_id
    )
    run = SimpleNamespace(dag_id="m", run_id="1", clear_number=0, triggering_user_name="ann")
    try:
        task.execute({"ti": instance, "dag_run": run, "params": {}})
    except AirflowFailException as error:
        sys.exit(str(error))


def _stop_before(owner: Any, name: str) -> None:
    real = getattr(owner, name)

    def stopped(*arguments: Any, **named: Any) -> Any:
        setattr(owner, name, real)
        os.kill(os.getpid(), signal.SIGSTOP)
        return real(*arguments, **named)

    setattr(owner, name, stopped)


def _start() -> tuple[Any, str]:
    from feed_migration.journal.heads import HeadKeeper

    # what every event waits for, before its transaction
    return HeadKeeper, "require"


def _act() -> tuple[Any, str]:
    from feed_migration import cutover

    return cutover, "_perform"


def _write() -> tuple[Any, str]:
    from feed_migration.fleet import supervisor

    return supervisor, "write_text"


def _fence() -> tuple[Any, str]:
    from feed_migration import fence

    return fence, "append_line"


def _stop() -> tuple[Any, str]:
    from feed_migration.fleet.supervisor_rpc import SupervisorRpc

    return SupervisorRpc, "stop"


def _patch() -> tuple[Any, str]:
    from feed_migration.fleet.kubernetes_api import KubernetesApi

    return KubernetesApi, "patch_stateful_set"


_POINTS = {
    "start": _start,
    "act": _act,
    "fence": _fence,
    "write": _write,
    "stop": _stop,
    "patch": _patch,
}

if __name__ == "__main__":
    main(*sys.argv[1:])
