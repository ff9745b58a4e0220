"""Verification of ED25519 signatures, by the rules of https://docs.backpack.exchange."""

import base64
import binascii
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from operator import itemgetter

from nacl.exceptions import BadSignatureError
from nacl.signing import VerifyKey

from backpack_sandbox.constants import WINDOW_DEFAULT_MS, WINDOW_MAX_MS

SUBSCRIBE_INSTRUCTION = "subscribe"

type Params = Sequence[tuple[str, str]]
"""The parameters of one request, or of one order of a batch: values raw as decoded."""


class Refusal(StrEnum):
    """Why a signed message is refused; the value is the venue's message."""

    SIGNATURE = "Invalid signature"
    EXPIRED = "Request has expired"
    TIMESTAMP = "Invalid timestamp"
    WINDOW = "Invalid window"


def signing_string(
    instruction: str, blocks: Sequence[Params], timestamp_ms: str, window_ms: str
) -> str:
    """What must have been signed: each block's parameters sorted by byte value.

    A batch has one block per order, each with its own `instruction`; any other request has one.
    """
    parts: list[str] = []
    for params in blocks:
        ordered = sorted(params, key=itemgetter(0))
        parts += [f"instruction={instruction}", *(f"{key}={value}" for key, value in ordered)]
    return "&".join([*parts, f"timestamp={timestamp_ms}", f"window={window_ms}"])


class SignatureVerifier:
    """Knows the accounts' keys and the venue's clock.

    `clock` gives unix seconds. A message is accepted while |now - timestamp| <= window.
    """

    def __init__(self, accounts: Mapping[str, str], clock: Callable[[], float]) -> None:
        """`accounts`: the account's name by its verifying key, base64 as in `X-API-Key`."""
        self._accounts = dict(accounts)
        self._keys = {key: VerifyKey(base64.b64decode(key)) for key in accounts}
        self._clock = clock

    def verify_subscribe(self, signature: Sequence[str]) -> str | Refusal:
        """The account behind the four signature fields of a signed SUBSCRIBE."""
        if len(signature) != 4:  # noqa: PLR2004 - key, signature, timestamp, window
            return Refusal.SIGNATURE
        key, signed, timestamp, window = signature
        return self.verify(
            SUBSCRIBE_INSTRUCTION,
            [()],
            api_key=key,
            signature=signed,
            timestamp_ms=timestamp,
            window_ms=window,
        )

    def verify_request(
        self, instruction: str, blocks: Sequence[Params], headers: Mapping[str, str]
    ) -> str | Refusal:
        """The account behind a REST request; the window counts even when its header is left out."""
        return self.verify(
            instruction,
            blocks,
            api_key=headers.get("X-API-Key", ""),
            signature=headers.get("X-Signature", ""),
            timestamp_ms=headers.get("X-Timestamp", ""),
            window_ms=headers.get("X-Window", str(WINDOW_DEFAULT_MS)),
        )

    def verify(
        self,
        instruction: str,
        blocks: Sequence[Params],
        *,
        api_key: str,
        signature: str,
        timestamp_ms: str,
        window_ms: str,
    ) -> str | Refusal:
        """The account's name when `signature` is its key's for exactly this message, in time.

        Test the answer with `isinstance(answer, Refusal)`: a refusal is a str too.
        """
        if refusal := self._refuse_time(timestamp_ms, window_ms):
            return refusal
        key = self._keys.get(api_key)
        if key is None:
            return Refusal.SIGNATURE
        try:
            # a lone surrogate can come out of JSON; it has no bytes that could have been signed
            message = signing_string(instruction, blocks, timestamp_ms, window_ms).encode()
            key.verify(message, base64.b64decode(signature, validate=True))
        except (BadSignatureError, binascii.Error, ValueError):
            return Refusal.SIGNATURE
        return self._accounts[api_key]

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
