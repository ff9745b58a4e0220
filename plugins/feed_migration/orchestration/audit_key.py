"""The journal's signing key out of an Airflow connection, where no file is mounted."""

# ruff: noqa: PLC0415 - only a deployment that names a connection pays for the imports

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from feed_migration.journal.keys import HeadSigner

VARIABLE = "BACKPACK_AUDIT_KEY_CONN_ID"


def signer_of_connection(environ: Mapping[str, str] = os.environ) -> "HeadSigner | None":
    """Return the signer whose key is the password of the connection that `VARIABLE` names.

    None where it names none: the key is then a file (`journal.keys.AuditPlace`). Airflow masks
    passwords in its logs. Raises `JournalUnavailable` where the password is no key.
    """
    name = environ.get(VARIABLE)
    if not name:
        return None
    from airflow.sdk import BaseHook

    from feed_migration.journal.keys import HeadSigner

    return HeadSigner(BaseHook.get_connection(name).password or "", f"connection {name}")
