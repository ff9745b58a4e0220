"""The account key and the certificate authority, kept in the state directory across restarts."""

import base64
import json
import os
import ssl
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import trustme
from nacl.signing import SigningKey

from backpack_sandbox.errors import SandboxError

OWNER_ONLY = 0o600


@dataclass(frozen=True, slots=True)
class ApiKey:
    """The house account's key pair, both base64: the verifying key, and the 32-byte seed."""

    api_key: str
    private_key: str = field(repr=False)

    @classmethod
    def load_or_create(cls, path: Path) -> Self:
        """Read `path`, or make a fresh key there with mode 0600."""
        if path.exists():
            return cls._load(path)
        key = SigningKey.generate()
        pair = cls(_b64(bytes(key.verify_key)), _b64(bytes(key)))
        write_private(
            path, json.dumps({"api_key": pair.api_key, "private_key": pair.private_key}).encode()
        )
        return pair

    @classmethod
    def _load(cls, path: Path) -> Self:
        try:
            content = json.loads(path.read_text())
            key = SigningKey(base64.b64decode(content["private_key"]))
        except (ValueError, KeyError, TypeError) as error:
            raise SandboxError(
                f"{path}: not an api key file ({type(error).__name__}); delete it for a new key"
            ) from error
        return cls(_b64(bytes(key.verify_key)), content["private_key"])


def server_context(ca_file: Path, ca_key_file: Path, host: str) -> ssl.SSLContext:
    """A TLS server context for `host`, localhost and 127.0.0.1.

    Its authority is read from the two files, or made and written there; clients that trust
    `ca_file` go on doing so after a restart.
    """
    if ca_file.exists() and ca_key_file.exists():
        authority = trustme.CA.from_pem(ca_file.read_bytes(), ca_key_file.read_bytes())
    else:
        authority = trustme.CA(organization_name="Backpack sandbox")
        write_private(ca_key_file, authority.private_key_pem.bytes())
        authority.cert_pem.write_to_path(str(ca_file))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    names = dict.fromkeys(["127.0.0.1", "localhost", host])
    authority.issue_cert(*(name for name in names if name != "0.0.0.0")).configure_cert(context)  # noqa: S104
    return context


def write_private(path: Path, content: bytes) -> None:
    """Write a secret that only its owner can read, from its first byte on."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, OWNER_ONLY)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)


def _b64(raw: bytes) -> str:
    return base64.b64encode(raw).decode()
