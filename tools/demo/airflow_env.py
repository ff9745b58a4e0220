"""Airflow sized for one small machine: four processes, SQLite, loopback only.

The environment is the whole configuration: no airflow.cfg is edited, nothing outside `home` is
written. The comments give the reason wherever a value differs from Airflow's default.
"""

import base64
import json
import os
import secrets
import shlex
from collections.abc import Mapping
from pathlib import Path

ADMIN = "admin"
_PASSWORDS = "passwords.json"
# settings of Airflow → files of its home
SECRETS = {
    "AIRFLOW__CORE__FERNET_KEY": "fernet_key",
    "AIRFLOW__API__SECRET_KEY": "api_secret",
    "AIRFLOW__API_AUTH__JWT_SECRET": "jwt_secret",
}


def airflow_environment(
    home: Path,
    *,
    api_port: int,
    dags_folder: Path,
    plugins_folder: Path,
    parallelism: int = 4,
) -> dict[str, str]:
    """Return the variables that every Airflow process of one deployment must share.

    `home` becomes AIRFLOW_HOME; its secrets are generated once and reused, so that a restarted
    process still accepts the tokens of the others. Each is a file of mode 0600.
    """
    home = home.resolve()
    home.mkdir(parents=True, exist_ok=True)
    _make_secrets(home)
    return {
        "AIRFLOW_HOME": str(home),
        **_core(home, dags_folder.resolve(), plugins_folder.resolve(), api_port, parallelism),
        **_api(api_port),
        # an environment is inherited by every program that is started, a file is not
        **{f"{name}_CMD": shlex.join(["cat", str(home / file)]) for name, file in SECRETS.items()},
        **_timing(),
        **_quiet(home),
    }


def without_airflow(environment: Mapping[str, str]) -> dict[str, str]:
    """Return `environment` less what configures another Airflow; connections and variables stay.

    Airflow prefers a plain variable to the `_CMD` of the same setting, so one left over in the
    shell would replace a secret of this deployment.
    https://airflow.apache.org/docs/apache-airflow/stable/howto/set-config.html
    """
    places = {"AIRFLOW_HOME", "AIRFLOW_CONFIG"}
    return {
        name: value
        for name, value in environment.items()
        if name not in places and not name.startswith("AIRFLOW__")
    }


def airflow_commands(airflow: Path) -> dict[str, tuple[str, ...]]:
    """Return program name → argv of the four long-lived processes, in starting order.

    Logs are read from the shared disk by the api-server, so neither the scheduler nor the
    triggerer has to serve them: two processes and two open ports less.
    """
    return {
        "airflow-api-server": (str(airflow), "api-server"),
        "airflow-dag-processor": (str(airflow), "dag-processor"),
        "airflow-scheduler": (str(airflow), "scheduler", "--skip-serve-logs"),
        "airflow-triggerer": (str(airflow), "triggerer", "--skip-serve-logs"),
    }


def admin_password(home: Path) -> str:
    """Return the password of the `admin` user of the deployment in `home`."""
    return str(json.loads((home / _PASSWORDS).read_text())[ADMIN])


def _core(home: Path, dags: Path, plugins: Path, api_port: int, parallelism: int) -> dict[str, str]:
    return {
        "AIRFLOW__CORE__DAGS_FOLDER": str(dags),
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(plugins),
        "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__PARALLELISM": str(parallelism),
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"http://127.0.0.1:{api_port}/execution/",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": f"{ADMIN}:admin",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(home / _PASSWORDS),
        # the fleet's processes must not be looked up by a slow or missing DNS
        "AIRFLOW__CORE__HOSTNAME_CALLABLE": "socket.gethostname",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home / 'airflow.db'}",
    }


def _api(api_port: int) -> dict[str, str]:
    return {
        "AIRFLOW__API__HOST": "127.0.0.1",
        "AIRFLOW__API__PORT": str(api_port),
        "AIRFLOW__API__BASE_URL": f"http://127.0.0.1:{api_port}",
        "AIRFLOW__API__WORKERS": "1",
        "AIRFLOW__API__INSTANCE_NAME": "Backpack feed migration",
        # the default issuer is derived from base_url; fixed, it survives a change of port
        "AIRFLOW__API_AUTH__JWT_ISSUER": "backpack-migration",
    }


def _timing() -> dict[str, str]:
    return {
        # how long a killed scheduler's tasks stay "running" before they are run again: 300 s
        "AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "15",
        "AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_THRESHOLD": "15",
        "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "60",
        "AIRFLOW__SCHEDULER__TRIGGER_TIMEOUT_CHECK_INTERVAL": "5",
        "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.5",
        # a worker may notice this much too late that its task ended or was marked failed: 5 s
        "AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL": "1",
        # given up earlier (5 s), a request is sent again while a slow API server is still at the
        # first one; where both insert the same row the task fails that had succeeded. Below the
        # heartbeat's timeout, so that a beat that hangs is sent again before the task is dead
        "AIRFLOW__WORKERS__EXECUTION_API_TIMEOUT": "45",
        # a restarted triggerer takes over once the heartbeat of the old one is this old: 30 s
        "AIRFLOW__TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD": "15",
        # parse once; the files of a deployment do not change under it
        "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "600",
        "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "600",
        "AIRFLOW__DAG_PROCESSOR__STALE_DAG_THRESHOLD": "1800",
        "AIRFLOW__DAG_PROCESSOR__PARSING_PROCESSES": "2",
        "AIRFLOW__DAG_PROCESSOR__PRINT_STATS_INTERVAL": "0",
    }


def _quiet(home: Path) -> dict[str, str]:
    return {
        "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(home / "logs"),
        "AIRFLOW__LOGGING__COLORED_CONSOLE_LOG": "False",
        "AIRFLOW__LOGGING__UVICORN_LOGGING_LEVEL": "WARNING",
        "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
        "NO_COLOR": "1",
    }


def _make_secrets(home: Path) -> None:
    """Create what is not there yet, and give SimpleAuthManager its password file."""
    made = {
        "fernet_key": base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
        "api_secret": secrets.token_urlsafe(48),
        "jwt_secret": secrets.token_urlsafe(48),
        _PASSWORDS: json.dumps({ADMIN: secrets.token_urlsafe(12)}) + "\n",
    }
    for file, text in made.items():
        if not (home / file).exists():
            _write_private(home / file, text)


def _write_private(path: Path, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
