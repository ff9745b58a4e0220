"""ED25519 request signatures (protocol section 7)."""

import base64
import time
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Any, Self

from nacl.signing import SigningKey

from backpack_feed.constants import (
    MILLISECONDS,
    SIGNATURE_WINDOW_MAX_MS,
    SIGNATURE_WINDOW_MS,
)
from backpack_feed.errors import ConfigError
from backpack_feed.wire.clock_drift import ClockDrift
from backpack_feed.wire.keys import parse_public_key, parse_seed, read_credentials

__all__ = ["Signer", "parse_public_key", "parse_seed", "read_credentials", "signing_string"]

type Params = Mapping[str, Any] | Sequence[Mapping[str, Any]]
"""A query or body, or a batch of bodies."""


def signing_string(
    instruction: str, params: Params | None, timestamp_ms: int, window_ms: int
) -> str:
    """Return the text that the venue verifies.

    Keys are sorted by byte value, values are raw, null values are left out, and a batch repeats the
    instruction for every item. Raises `ConfigError` for what the venue could not verify.
    """
    items = [params or {}] if params is None or isinstance(params, Mapping) else params
    if not items:
        raise ConfigError(f"{instruction}: cannot sign an empty batch")
    blocks = [
        "&".join([f"instruction={instruction}", *_pairs(item)])
        for item in items  # one block per order of a batch
    ]
    return "&".join([*blocks, f"timestamp={timestamp_ms}", f"window={window_ms}"])


def _pairs(item: Mapping[str, Any]) -> list[str]:
    if "instruction" in item:
        raise ConfigError("instruction: is the name of the request and never one of its parameters")
    return [f"{key}={_text(key, item[key])}" for key in sorted(item) if item[key] is not None]


def _text(key: str, value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Enum):
        value = value.value
    if isinstance(value, Decimal) and value.is_finite():
        return format(value, "f")
    if isinstance(value, str | int):
        return str(value)
    raise ConfigError(f"{key}: cannot sign a {type(value).__name__}: send decimals as strings")


def _check_pair(public_key: bytes, key: SigningKey) -> None:
    if public_key == bytes(key.verify_key):
        return
    if bytes(SigningKey(public_key).verify_key) == bytes(key):
        raise ConfigError("api_key: is the private key, and private_key the public one: swap them")
    raise ConfigError("api_key: is not the public key of private_key: take both of one key")


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
        if not (isinstance(window_ms, int) and 0 < window_ms <= SIGNATURE_WINDOW_MAX_MS):
            raise ConfigError(f"window_ms: {window_ms} is not in 1 to {SIGNATURE_WINDOW_MAX_MS}")
        self._key = SigningKey(parse_seed(private_key))
        self.api_key = base64.b64encode(bytes(self._key.verify_key)).decode()
        _check_pair(parse_public_key(api_key), self._key)
        self.window_ms = window_ms
        self.offset_ms = 0
        self.clock = clock

    @classmethod
    def from_file(
        cls,
        path: Path,
        *,
        window_ms: int = SIGNATURE_WINDOW_MS,
        clock: Callable[[], float] = time.time,  # noqa: TID251 - an argument
    ) -> Self:
        """Read `{"api_key": …, "private_key": …}`; raises `ConfigError` naming the file."""
        api_key, private_key = read_credentials(path)
        try:
            return cls(api_key, private_key, window_ms=window_ms, clock=clock)
        except ConfigError as error:
            raise ConfigError(f"{path}: {error}") from None

    def __repr__(self) -> str:
        return f"Signer(api_key={self.api_key[:6]}…)"

    def __reduce__(self) -> str:
        raise TypeError("a Signer is not copied or pickled: it holds a private key")

    def now_ms(self) -> int:
        """Return the time to sign with, in unix milliseconds."""
        return int(self.clock() * MILLISECONDS) + self.offset_ms

    def follow(self, drift: ClockDrift) -> None:
        """Sign with the venue's time from now on; `drift` was measured with this signer's clock."""
        self.offset_ms = -drift.ms

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
