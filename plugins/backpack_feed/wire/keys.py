"""ED25519 keys in the forms that people have them in (protocol section 7.1).

No error and no representation quotes a secret.
"""

import base64
import re
from pathlib import Path
from typing import Final

import msgspec
from nacl.signing import SigningKey

from backpack_feed.errors import ConfigError

SEED_BYTES: Final = 32
KEYPAIR_BYTES: Final = 64
PUBLIC_KEY_BYTES: Final = 32
CREDENTIALS_LIMIT_BYTES: Final = 65_536

_HEX = re.compile(r"([0-9a-fA-F]{2}){16,}", re.ASCII)


class _Credentials(msgspec.Struct):
    api_key: str
    private_key: str

    def __repr__(self) -> str:
        return "_Credentials(…)"


def parse_seed(text: str) -> bytes:
    """Return the 32-byte seed of a secret in base64 or hex, of 32 or (seed + public key) 64 bytes.

    Raises `ConfigError`, which never quotes the secret.
    """
    raw = _decode_key("private_key", text.strip())
    if len(raw) not in (SEED_BYTES, KEYPAIR_BYTES):
        raise ConfigError(
            f"private_key: is {len(raw)} bytes long: give base64 or hex of 32 (seed) or 64 bytes"
        )
    seed = raw[:SEED_BYTES]
    if len(raw) == KEYPAIR_BYTES and bytes(SigningKey(seed).verify_key) != raw[SEED_BYTES:]:
        raise ConfigError("private_key: its second half is not the public key of its first half")
    return seed


def parse_public_key(text: str) -> bytes:
    """Return the 32 bytes of an API key in base64 or hex; raises `ConfigError`."""
    raw = _decode_key("api_key", text.strip())
    if len(raw) != PUBLIC_KEY_BYTES:
        raise ConfigError(f"api_key: is {len(raw)} bytes long: give base64 or hex of 32 bytes")
    return raw


def _decode_key(place: str, text: str) -> bytes:
    try:
        # 32 or 64 bytes of base64 end with padding, so text of hex digits alone is hex
        return (
            bytes.fromhex(text) if _HEX.fullmatch(text) else base64.b64decode(text, validate=True)
        )
    except ValueError:  # also what binascii raises
        raise ConfigError(f"{place}: is neither base64 nor hex: copy it again") from None


def read_credentials(path: Path) -> tuple[str, str]:
    """Return (api_key, private_key) of a credentials file; raises `ConfigError`."""
    try:
        with path.open("rb") as file:
            body = file.read(CREDENTIALS_LIMIT_BYTES)
    except OSError as error:
        raise ConfigError(
            f"{path}: cannot be read: {error.strerror}: check the path and its permissions"
        ) from error
    try:
        content = msgspec.json.decode(body, type=_Credentials)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise ConfigError(
            f"{path}: must be a JSON object with the strings api_key and private_key"
        ) from None
    return content.api_key, content.private_key
