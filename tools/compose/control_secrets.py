"""The secrets of .env as files that only the container's user reads."""

import json
import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote

from tools.compose.places import POSTGRES_HOST, ComposeError, Places

ADMIN = "admin"
_FILES = {
    "fernet_key": "AIRFLOW_FERNET_KEY",
    "jwt_secret": "AIRFLOW_JWT_SECRET",
    "api_secret": "AIRFLOW_API_SECRET",
}
_PRIVATE = 0o600


def write_secrets(places: Places, environ: Mapping[str, str]) -> None:
    """Write every secret anew, so that one changed in .env takes effect; ComposeError if absent.

    Passwords of users other than `admin` are made once and kept.
    """
    for name, variable in _FILES.items():
        write_private(places.control / name, _required(environ, variable))
    lines = [
        _pgpass_line("airflow", "airflow", _required(environ, "AIRFLOW_DB_PASSWORD")),
        _pgpass_line("backpack", "backpack_journal", _required(environ, "JOURNAL_PASSWORD")),
    ]
    write_private(places.pgpass, "".join(lines))
    if broker := environ.get("REDIS_PASSWORD"):
        write_private(places.control / "broker_url", f"redis://:{quote(broker)}@redis:6379/0")
    admin = _required(environ, "AIRFLOW_ADMIN_PASSWORD")
    users = _users(environ.get("AIRFLOW_USERS") or f"{ADMIN}:admin")
    known = _known_passwords(places.airflow_passwords)
    passwords = {user: known.get(user) or secrets.token_urlsafe(18) for user in users}
    text = json.dumps({**passwords, ADMIN: admin})
    write_private(places.airflow_passwords, text + "\n")


def write_private(path: Path, text: str) -> None:
    """Replace `path` with a file that only its owner reads, from its first byte on."""
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.unlink(missing_ok=True)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _PRIVATE)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    temporary.replace(path)


def _pgpass_line(database: str, user: str, password: str) -> str:
    # the format's own escapes
    escaped = password.replace("\\", "\\\\").replace(":", "\\:")
    return f"{POSTGRES_HOST}:5432:{database}:{user}:{escaped}\n"


def _users(text: str) -> list[str]:
    """Return the names of `admin:admin,operator:op`, as Airflow writes users with their roles."""
    names = [entry.partition(":")[0].strip() for entry in text.split(",")]
    if "" in names:
        raise ComposeError(f"AIRFLOW_USERS={text}: must be NAME:ROLE[,NAME:ROLE…], correct .env")
    return names


def _known_passwords(path: Path) -> dict[str, str]:
    try:
        return {str(user): str(word) for user, word in json.loads(path.read_text()).items()}
    except FileNotFoundError:
        return {}
    except (ValueError, AttributeError) as error:
        raise ComposeError(f"{path}: not a JSON object of passwords, remove it") from error


def _required(environ: Mapping[str, str], name: str) -> str:
    value = environ.get(name, "")
    if not value or any(c in value for c in "\r\n\0"):
        raise ComposeError(f"{name} is not set, or no single line: run 'make env'")
    return value
