"""How patient a worker is with the API server, in each Airflow that is shipped."""

import subprocess
import sys
from pathlib import Path

import pytest

from tools.demo.airflow_env import airflow_environment

REPOSITORY = Path(__file__).resolve().parents[2]

# As the client of the worker reads it; a setting of a wrong name would leave Airflow's own 5 s
READ = "from airflow.sdk.api.client import API_TIMEOUT; print(API_TIMEOUT)"
TIMEOUT = "AIRFLOW__WORKERS__EXECUTION_API_TIMEOUT"
HEARTBEAT = "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT"


def embedded(home: Path) -> dict[str, str]:
    folders = {"dags_folder": home / "dags", "plugins_folder": home / "plugins"}
    return airflow_environment(home, api_port=1, **folders)


def compose(_home: Path) -> dict[str, str]:
    lines = (REPOSITORY / "deploy/docker/airflow.env").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


@pytest.mark.parametrize("shipped", [embedded, compose])
def test_a_worker_waits_for_a_slow_api_server(shipped, tmp_path):
    """A request that is sent again while the first still runs can fail a task that succeeded.

    But a beat that hangs must be given up before the scheduler takes the task for dead.
    """
    given = shipped(tmp_path)
    environment = {name: given[name] for name in (TIMEOUT, HEARTBEAT) if name in given}
    told = subprocess.check_output(
        [sys.executable, "-c", READ], env={"AIRFLOW_HOME": str(tmp_path), **environment}, text=True
    )
    assert 30 <= float(told) < float(given[HEARTBEAT])
