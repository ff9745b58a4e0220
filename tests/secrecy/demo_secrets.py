"""The secrets of one demo, and the only files that may hold them."""

import json
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from feed_migration.journal.keys import AuditPlace, make_key
from tests.secrecy.encodings import Secret, key
from tools.demo.airflow_env import SECRETS as AIRFLOW_SECRETS
from tools.demo.airflow_env import admin_password
from tools.demo.layout import Layout

PASSWORD = "the administrator's password"


@dataclass(frozen=True)
class Kept:
    """`file` is where `secrets` are put, readable by its owner alone, because of `why`."""

    file: Path
    why: str
    secrets: tuple[Secret, ...]


def make_audit_key(directory: Path) -> dict[str, str]:
    """Make a signing key outside the state directory; return the variables that name it."""
    place = AuditPlace.of(directory, {})
    make_key(place)
    return {
        "BACKPACK_AUDIT_KEY_FILE": str(place.signing_key),
        "BACKPACK_AUDIT_TRUSTED_FILE": str(place.trusted_keys),
    }


def fresh_password() -> Secret:
    """A password of a connection, as long as a token."""
    return Secret("the connection's password", secrets.token_urlsafe(24))


def kept_secrets(layout: Layout, audit_key_file: Path) -> Iterator[Kept]:
    """Every secret of a demo; all were made at random for this one."""
    airflow, sandbox = layout.home / "airflow", layout.home / "sandbox"
    yield Kept(
        layout.credentials_file,
        "the fleet's feeds and the credential check sign with it",
        _pair("the fleet's", layout.credentials_file),
    )
    trader = sandbox / "trader_api_key.json"
    yield Kept(trader, "the sandbox's second account, for its clients", _pair("trader's", trader))
    authority = sandbox / "ca.key"
    yield Kept(authority, "the sandbox signs its certificates with it", (_private(authority),))
    for name in AIRFLOW_SECRETS.values():
        secret = _of_airflow(name, airflow / name)
        yield Kept(airflow / name, "Airflow reads it by a command", (secret,))
    yield Kept(
        airflow / "passwords.json",
        "Airflow's login and the shell's commands read it",
        (Secret(PASSWORD, admin_password(airflow)),),
    )
    signing = key("the audit's signing key", audit_key_file.read_text().strip())
    yield Kept(audit_key_file, "the journal's heads are signed with it", (signing,))


def _pair(whose: str, file: Path) -> tuple[Secret, ...]:
    pair = json.loads(file.read_text())
    return key(f"{whose} seed", pair["private_key"]), key(f"{whose} API key", pair["api_key"])


def _private(file: Path) -> Secret:
    private = load_pem_private_key(file.read_bytes(), password=None)
    assert isinstance(private, EllipticCurvePrivateKey)
    raw = private.private_numbers().private_value.to_bytes(32)
    return Secret("the authority's private key", raw.hex(), raw)


def _of_airflow(name: str, file: Path) -> Secret:
    text = file.read_text()
    return key(name, text) if name == "fernet_key" else Secret(name, text)
