"""Signatures for request descriptions of users, with the key pair of a credentials file.

One JSON object or an array of them: `{"instruction": "orderQuery", "query": {"symbol": …}}`, with
`body` instead of `query` for a POST, `timestamp_ms` (default: now) and `window_ms` (default 5000).
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

from backpack_feed.constants import SIGNATURE_WINDOW_MS
from backpack_feed.errors import ConfigError
from backpack_feed.replay.report import FormatError, Line
from backpack_feed.wire.signing import Signer, read_credentials, signing_string


class RequestDescription(msgspec.Struct, forbid_unknown_fields=True):
    """One request to sign."""

    instruction: str
    name: str = ""
    method: str = ""
    path: str = ""
    query: dict[str, Any] | None = None
    body: dict[str, Any] | list[dict[str, Any]] | None = None
    timestamp_ms: int | None = None
    window_ms: int = SIGNATURE_WINDOW_MS


def sign(
    requests: Sequence[RequestDescription], credentials_file: Path, clock: Callable[[], float]
) -> Iterator[Line]:
    """Sign each request; `clock` gives unix seconds for those without a timestamp."""
    api_key, private_key = read_credentials(credentials_file)
    for index, request in enumerate(requests):
        name = request.name or request.path or request.instruction
        try:
            signer = Signer(api_key, private_key, window_ms=request.window_ms, clock=clock)
            yield _signed(name, request, signer)
        except ConfigError as error:
            raise FormatError(f"request {index} ({name}): {error}") from None


def _signed(name: str, request: RequestDescription, signer: Signer) -> Line:
    if request.query and request.body:
        raise ConfigError("has a query and a body: the venue signs only one of them: remove one")
    params = request.query or request.body
    stamp = signer.now_ms() if request.timestamp_ms is None else request.timestamp_ms
    text = signing_string(request.instruction, params, stamp, request.window_ms)
    headers = signer.headers(request.instruction, params, timestamp_ms=stamp)
    rows = [f"{name}", f"    {text}"] + [f"    {key}: {value}" for key, value in headers.items()]
    record = {
        "name": name,
        "signing_string": text,
        "signature": headers["X-Signature"],
        "headers": headers,
    }
    return Line("\n".join(rows), record)
