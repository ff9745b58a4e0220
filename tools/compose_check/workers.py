"""Under Celery: that tasks ran on the worker, by Airflow's word and by the worker's own."""

import re
from collections.abc import Callable, Mapping

from tools.compose_check.engine import CheckError
from tools.compose_check.project import Project

WORKER = "airflow-worker"
# where each attempt ran; its host is named as the container is. Empty: nobody ran it
_HOSTS = """
SELECT hostname, count(*) FROM (
    SELECT hostname FROM task_instance UNION ALL SELECT hostname FROM task_instance_history
) AS attempts WHERE hostname <> '' GROUP BY hostname
"""
_SUCCEEDED = re.compile(r"execute_workload\[[^]]+\] succeeded")


def require_on_worker(project: Project, say: Callable[[str], None]) -> None:
    """Raise CheckError unless all that ran of the tasks until now ran on the worker."""
    worker = project.containers()[WORKER]
    rows = project.compose(
        *("exec", "-T", "postgres", "psql", "--username=postgres", "--dbname=airflow"),
        *("--no-align", "--tuples-only", "--command", _HOSTS),
    )
    ran = require_one_host(attempts_by_host(rows), str(worker["Config"]["Hostname"]))
    log = project.engine.docker("logs", worker["Id"])
    done = len(_SUCCEEDED.findall(log))
    if not done:
        raise CheckError("the worker's log has no task that succeeded")
    say(f"on the Celery worker: all {ran} attempts of tasks that ran; {done} done in its log")


def attempts_by_host(rows: str) -> dict[str, int]:
    """Return host → attempts of the lines `host|count`."""
    pairs = (line.strip().rpartition("|") for line in rows.splitlines() if "|" in line)
    return {host: int(count) for host, _, count in pairs}


def require_one_host(attempts: Mapping[str, int], worker: str) -> int:
    """Return how many ran; CheckError where none did, or one on another host than `worker`."""
    elsewhere = sorted(attempts.keys() - {worker})
    if elsewhere:
        raise CheckError(f"tasks ran on {', '.join(elsewhere)}, not on the worker {worker}")
    if not attempts:
        raise CheckError("no task ran on the worker")
    return attempts[worker]
