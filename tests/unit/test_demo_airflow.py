"""What the demo gives Airflow's processes, and where its secrets are."""

import json
import re
import stat
import subprocess
from pathlib import Path

import pytest

from tools.demo.airflow_env import ADMIN, admin_password, airflow_environment, without_airflow


@pytest.fixture
def environment(tmp_path):
    return made(tmp_path)


def made(tmp_path: Path) -> dict[str, str]:
    folders = {"dags_folder": tmp_path / "dags", "plugins_folder": tmp_path / "plugins"}
    return airflow_environment(tmp_path / "a home", api_port=1, **folders)


def secrets_of(environment: dict[str, str]) -> dict[str, str]:
    """Each secret as Airflow reads it: by the command that its variable names."""
    return {
        name: subprocess.check_output(["sh", "-c", command], text=True)
        for name, command in environment.items()
        if re.search("FERNET|SECRET", name)
    }


def test_no_environment_holds_a_secret(environment):
    """Whoever may see the environment of a process of Airflow finds commands that read files."""
    secrets = secrets_of(environment)
    assert len(secrets) == 3
    assert all(name.endswith("_CMD") for name in secrets)
    assert min(map(len, secrets.values())) > 40
    assert len(set(secrets.values())) == 3
    assert [text for text in secrets.values() if text in "\n".join(environment.values())] == []


def test_a_restarted_process_gets_the_same_secrets(tmp_path, environment):
    """It must accept the tokens of the others."""
    password = admin_password(tmp_path / "a home")
    assert secrets_of(made(tmp_path)) == secrets_of(environment)
    assert admin_password(tmp_path / "a home") == password


def test_every_secret_is_a_file_of_its_owner(tmp_path, environment):
    """Also the passwords that Airflow's login reads."""
    home = tmp_path / "a home"
    files = [path for path in home.rglob("*") if path.is_file()]
    assert len(files) == 4
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}
    passwords = Path(environment["AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE"])
    assert json.loads(passwords.read_text()) == {ADMIN: admin_password(home)}


def test_settings_of_another_airflow_are_left_behind():
    """Its home and settings are; connections for notices, and what is no Airflow's, are not."""
    kept = {"AIRFLOW_CONN_PAGER": "http://pager.example.com", "PATH": "/bin"}
    another = {"AIRFLOW_HOME": "/x", "AIRFLOW_CONFIG": "/x/y", "AIRFLOW__API_AUTH__JWT_SECRET": "z"}
    assert without_airflow(kept | another) == kept
