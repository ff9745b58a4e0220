"""Verification of ED25519 signatures, by the rules of Backpack's authentication (protocol 7.1)."""

import base64
import binascii
from collections.abc import Callable, Iterable, Mapping
from enum import StrEnum

from nacl.exceptions import BadSignatureError
from nacl.signing import VerifyKey

from backpack_sandbox.constants import WINDOW_DEFAULT_MS, WINDOW_MAX_MS

SUBSCRIBE_INSTRUCTION = "subscribe"


class Refusal(StrEnum):
    """Why a signed message is refused; the value is the venue's message."""

    SIGNATURE = "Invalid signature"
    EXPIRED = "Request has expired"
    TIMESTAMP = "Invalid timestamp"
    WINDOW = "Invalid window"


def signing_string(
    instruction: str, params: Mapping[str, str], timestamp_ms: str, window_ms: str
) -> str:
    """What must have been signed: values raw as decoded, parameters sorted by byte value."""
    pairs = [f"{key}={value}" for key, value in sorted(params.items())]
    return "&".join(
        [f"instruction={instruction}", *pairs, f"timestamp={timestamp_ms}", f"window={window_ms}"]
    )


class SignatureVerifier:
    """Knows the account's keys and the venue's clock.

    `clock` gives unix seconds. A message is accepted while |now - timestamp| <= window.
    """

    def __init__(self, api_keys: Iterable[str], clock: Callable[[], float]) -> None:
        """`api_keys`: base64 of 32-byte verifying keys, as in `X-API-Key`."""
        self._keys = {key: VerifyKey(base64.b64decode(key)) for key in api_keys}
        self._clock = clock

    def refuse_subscribe(self, signature: list[str]) -> Refusal | None:
        """None when the four signature fields of a signed SUBSCRIBE hold."""
        if len(signature) != 4:  # noqa: PLR2004 - key, signature, timestamp, window
            return Refusal.SIGNATURE
        key, signed, timestamp, window = signature
        return self.refuse(
            SUBSCRIBE_INSTRUCTION,
            {},
            api_key=key,
            signature=signed,
            timestamp_ms=timestamp,
            window_ms=window,
        )

    def refuse_request(
        self, instruction: str, params: Mapping[str, str], headers: Mapping[str, str]
    ) -> Refusal | None:
        """None when the headers of a REST request hold; the window counts even when left out."""
        return self.refuse(
            instruction,
            params,
            api_key=headers.get("X-API-Key", ""),
            signature=headers.get("X-Signature", ""),
            timestamp_ms=headers.get("X-Timestamp", ""),
            window_ms=headers.get("X-Window", str(WINDOW_DEFAULT_MS)),
        )

    def refuse(
        self,
        instruction: str,
        params: Mapping[str, str],
        *,
        api_key: str,
        signature: str,
        timestamp_ms: str,
        window_ms: str,
    ) -> Refusal | None:
        """None when `signature` is the key's for exactly this message, in time."""
        if refusal := self._refuse_time(timestamp_ms, window_ms):
            return refusal
        key = self._keys.get(api_key)
        if key is None:
            return Refusal.SIGNATURE
        message = signing_string(instruction, params, timestamp_ms, window_ms).encode()
        try:
            key.verify(message, base64.b64decode(signature, validate=True))
        except (BadSignatureError, binascii.Error, ValueError):
            return Refusal.SIGNATURE
        return None

    def _refuse_time(self, timestamp_ms: str, window_ms: str) -> Refusal | None:
        if not _is_number(timestamp_ms):
            return Refusal.TIMESTAMP
        if not _is_number(window_ms) or not 0 < int(window_ms) <= WINDOW_MAX_MS:
            return Refusal.WINDOW
        age_ms = abs(self._clock() * 1000 - int(timestamp_ms))
        return Refusal.EXPIRED if age_ms > int(window_ms) else None


def _is_number(text: str) -> bool:
    """Plain digits, few enough that int() is cheap."""
    return text.isascii() and text.isdigit() and len(text) <= 19  # noqa: PLR2004 - 64-bit range
