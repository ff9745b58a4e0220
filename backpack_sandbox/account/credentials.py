"""The account keys and the certificate authority, kept in the state directory across restarts."""

import base64
import json
import os
import ssl
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Self

import trustme
from nacl.signing import SigningKey

from backpack_sandbox.errors import SandboxError

OWNER_ONLY = 0o600


@dataclass(frozen=True, slots=True)
class ApiKey:
    """An account's key pair, both base64: the verifying key, and the 32-byte seed."""

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


class ServerCertificates:
    """TLS server contexts for `host`, localhost and 127.0.0.1, of one authority.

    The authority is read from the two files, or made and written there; clients that trust
    `ca_file` go on doing so after a restart. `names` are further names of the server.
    Raises SandboxError for files that are none, do not belong together, or are only one: a new
    authority would lock out every client that trusts the old one.
    """

    def __init__(self, ca_file: Path, ca_key_file: Path, host: str, *names: str) -> None:
        if ca_file.exists() or ca_key_file.exists():
            self._authority = _load_authority(ca_file, ca_key_file)
        else:
            self._authority = trustme.CA(organization_name="Backpack sandbox")
            write_private(ca_key_file, self._authority.private_key_pem.bytes())
            self._authority.cert_pem.write_to_path(str(ca_file))
        wanted = dict.fromkeys(["127.0.0.1", "localhost", host, *names])
        self._names = [name for name in wanted if name != "0.0.0.0"]  # noqa: S104

    def context(self, *, not_after: datetime | None = None) -> ssl.SSLContext:
        """A context with a fresh certificate, good for long or until `not_after`."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        certificate = self._authority.issue_cert(*self._names, not_after=not_after)
        certificate.configure_cert(context)
        return context


def _load_authority(ca_file: Path, ca_key_file: Path) -> trustme.CA:
    remedy = (
        f"put it back, or delete both {ca_file.name} and {ca_key_file.name} for a new authority,"
        " which clients must be given anew"
    )
    for file in (ca_file, ca_key_file):
        if not file.exists():
            raise SandboxError(f"{file} is missing: {remedy}")
    certificate, key = ca_file.read_bytes(), ca_key_file.read_bytes()
    try:
        authority = trustme.CA.from_pem(certificate, key)
    except Exception as error:  # whatever the parsers below say of bytes that are no PEM
        broken = ca_key_file if b"BEGIN CERTIFICATE" in certificate else ca_file
        raise SandboxError(f"{broken} cannot be read as PEM: {remedy}") from error
    try:
        # says whether the two belong together
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(ca_file, ca_key_file)
    except ssl.SSLError as error:
        raise SandboxError(f"{ca_key_file} is not the key of {ca_file}: {remedy}") from error
    return authority


def server_context(ca_file: Path, ca_key_file: Path, host: str) -> ssl.SSLContext:
    """The context of `ServerCertificates` that is good for long."""
    return ServerCertificates(ca_file, ca_key_file, host).context()


def write_private(path: Path, content: bytes) -> None:
    """Write a secret that only its owner can read, from its first byte on."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, OWNER_ONLY)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)


def _b64(raw: bytes) -> str:
    return base64.b64encode(raw).decode()
