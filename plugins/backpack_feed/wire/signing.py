"""ED25519 request signatures (protocol section 7)."""

import base64
import time
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any, Self

import msgspec
from nacl.signing import SigningKey

from backpack_feed.constants import (
    MILLISECONDS,
    SIGNATURE_WINDOW_MAX_MS,
    SIGNATURE_WINDOW_MS,
)
from backpack_feed.errors import ConfigError

SEED_BYTES = 32
KEYPAIR_BYTES = 64
PUBLIC_KEY_BYTES = 32
CREDENTIALS_LIMIT_BYTES = 65_536

type Params = Mapping[str, Any] | Sequence[Mapping[str, Any]]
"""A query or body, or a batch of bodies."""


def signing_string(
    instruction: str, params: Params | None, timestamp_ms: int, window_ms: int
) -> str:
    """Return the text that the venue verifies.

    Keys are sorted by byte value, values are raw, null values are left out, and a batch repeats the
    instruction for every item.
    """
    items = [params or {}] if params is None or isinstance(params, Mapping) else params
    blocks = [
        "&".join([f"instruction={instruction}", *_pairs(item)])
        for item in items  # one block per order of a batch
    ]
    return "&".join([*blocks, f"timestamp={timestamp_ms}", f"window={window_ms}"])


def _pairs(item: Mapping[str, Any]) -> list[str]:
    return [f"{key}={_text(key, item[key])}" for key in sorted(item) if item[key] is not None]


def _text(key: str, value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, str | int):
        return str(value)
    raise ConfigError(f"{key}: cannot sign a {type(value).__name__}: send decimals as strings")


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
    if len(text) in (SEED_BYTES * 2, KEYPAIR_BYTES * 2):
        try:
            return bytes.fromhex(text)
        except ValueError:
            pass  # base64 text may have that length as well
    try:
        return base64.b64decode(text, validate=True)
    except ValueError:  # also what binascii raises
        raise ConfigError(f"{place}: is neither base64 nor hex: copy it again") from None


class Signer:
    """Signs REST requests and websocket subscriptions with one key pair.

    `clock` returns unix seconds; `offset_ms` is added to it, so that a drifting host can follow the
    venue's clock. Raises `ConfigError` when the two keys are not a pair.
    """

    def __init__(
        self,
        api_key: str,
        private_key: str,
        *,
        window_ms: int = SIGNATURE_WINDOW_MS,
        clock: Callable[[], float] = time.time,  # noqa: TID251 - an argument
    ) -> None:
        if not 0 < window_ms <= SIGNATURE_WINDOW_MAX_MS:
            raise ConfigError(f"window_ms: {window_ms} is not in 1 to {SIGNATURE_WINDOW_MAX_MS}")
        self._key = SigningKey(parse_seed(private_key))
        self.api_key = base64.b64encode(bytes(self._key.verify_key)).decode()
        if parse_public_key(api_key) != bytes(self._key.verify_key):
            raise ConfigError("api_key: is not the public key of private_key: take both of one key")
        self.window_ms = window_ms
        self.offset_ms = 0
        self._clock = clock

    @classmethod
    def from_file(
        cls,
        path: Path,
        *,
        clock: Callable[[], float] = time.time,  # noqa: TID251 - an argument
    ) -> Self:
        """Read `{"api_key": …, "private_key": …}`; raises `ConfigError` naming the file."""
        api_key, private_key = read_credentials(path)
        try:
            return cls(api_key, private_key, clock=clock)
        except ConfigError as error:
            raise ConfigError(f"{path}: {error}") from None

    def __repr__(self) -> str:
        return f"Signer(api_key={self.api_key[:6]}…)"

    def now_ms(self) -> int:
        """Return the time to sign with, in unix milliseconds."""
        return int(self._clock() * MILLISECONDS) + self.offset_ms

    def sign(self, text: str) -> str:
        """Return the base64 signature of `text`."""
        return base64.b64encode(self._key.sign(text.encode()).signature).decode()

    def headers(
        self, instruction: str, params: Params | None = None, *, timestamp_ms: int | None = None
    ) -> dict[str, str]:
        """Return the four headers of a signed REST request."""
        stamp = self.now_ms() if timestamp_ms is None else timestamp_ms
        text = signing_string(instruction, params, stamp, self.window_ms)
        return {
            "X-API-Key": self.api_key,
            "X-Signature": self.sign(text),
            "X-Timestamp": str(stamp),
            "X-Window": str(self.window_ms),
        }

    def subscribe_signature(self, *, timestamp_ms: int | None = None) -> list[str]:
        """Return the four strings of a signed SUBSCRIBE; never send the same twice."""
        headers = self.headers("subscribe", timestamp_ms=timestamp_ms)
        return [headers[k] for k in ("X-API-Key", "X-Signature", "X-Timestamp", "X-Window")]


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
        content = msgspec.json.decode(body, type=dict[str, str])
        return content["api_key"], content["private_key"]
    except (msgspec.MsgspecError, UnicodeDecodeError, KeyError):
        raise ConfigError(
            f"{path}: must be a JSON object with the strings api_key and private_key"
        ) from None
