"""`{"keys": {…}, "vectors": […], …}`: known signatures through the feed's own signer.

Prints the signing string and the signature of every entry. Secrets of the file are never printed.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

from backpack_feed.constants import SIGNATURE_WINDOW_MS
from backpack_feed.replay.report import FormatError, Line, Mismatch, compare
from backpack_feed.replay.signing_keys import Keys, key_line
from backpack_feed.wire.signing import Params, signing_string

_RAW_STRINGS: Final[tuple[str, ...]] = ("raw_string", "correct_string")


class Vector(msgspec.Struct):
    """A request with its signature; `headers` or `frame` show how it goes over the wire."""

    name: str
    key: str
    instruction: str
    timestamp_ms: int
    window_ms: int = SIGNATURE_WINDOW_MS
    query: dict[str, Any] | None = None
    body: dict[str, Any] | list[dict[str, Any]] | None = None
    signing_string: str | None = None
    signature_b64: str | None = None
    headers: dict[str, str] | None = None
    frame: dict[str, Any] | None = None


class Captured(msgspec.Struct):
    """A signature that another client put on the wire."""

    name: str
    key: str
    signing_string: str
    signature_b64: str


class Negative(msgspec.Struct):
    """A wrong signing string, whose signature must not pass for the right request."""

    name: str
    bad_signing_string: str
    bad_signature_b64: str
    correct_signing_string: str
    must_verify: bool = False


class SigningFile(msgspec.Struct):
    """The whole file; `divergences` are strings on which other clients disagree."""

    keys: dict[str, dict[str, str]]
    vectors: list[Vector] = []
    divergences: list[dict[str, Any]] = []
    negative: list[Negative] = []
    captured: list[Captured] = msgspec.field(default=[], name="captured_from_ccxt_on_loopback")


class Request(msgspec.Struct):
    """What a signing string says."""

    instruction: str
    params: dict[str, str]
    timestamp_ms: int
    window_ms: int


def replay(file: SigningFile) -> Iterator[Line]:
    """Sign every entry and compare."""
    keys = Keys(file.keys)
    for name, forms in file.keys.items():
        yield key_line(name, forms, keys)
    for vector in file.vectors:
        yield _vector(vector, keys)
    for divergence in file.divergences:
        yield _divergence(divergence, keys)
    for negative in file.negative:
        yield _negative(negative, keys)
    for captured in file.captured:
        yield _captured(captured, keys)


def _vector(vector: Vector, keys: Keys) -> Line:
    params = _params(vector)
    text = signing_string(vector.instruction, params, vector.timestamp_ms, vector.window_ms)
    signer = keys.signer(vector.key, vector.window_ms)
    headers = signer.headers(vector.instruction, params, timestamp_ms=vector.timestamp_ms)
    place = f"vector {vector.name} ({vector.key})"
    mismatches: tuple[Mismatch, ...] = ()
    if vector.signing_string is not None:
        mismatches += compare(place, "signing_string", vector.signing_string, text)
    if vector.signature_b64 is not None:
        mismatches += compare(place, "signature_b64", vector.signature_b64, headers["X-Signature"])
    if vector.headers is not None:
        mismatches += compare(place, "headers", vector.headers, headers)
    if vector.frame is not None:
        four = signer.subscribe_signature(timestamp_ms=vector.timestamp_ms)
        mismatches += compare(place, "frame.signature", vector.frame.get("signature"), four)
    return _line("vector", vector.name, vector.key, text, headers["X-Signature"], mismatches)


def _params(vector: Vector) -> Params | None:
    if vector.query and isinstance(vector.body, dict):
        return vector.query | vector.body
    return vector.query or vector.body


def _divergence(entry: Mapping[str, Any], keys: Keys) -> Line:
    """Other clients' strings of one request: ours is the raw one, which the venue verifies.

    Without `raw_string` or `correct_string` the entry documents and expects nothing.
    """
    name = str(entry.get("name", "divergence"))
    strings = {k: v for k, v in entry.items() if k.endswith("_string") and isinstance(v, str)}
    expected = next((k for k in _RAW_STRINGS if k in strings), None)
    source = expected if expected is not None else next(iter(strings), "")
    if not source:
        return Line(
            f"divergence  {name:<36}  nothing to sign", {"kind": "divergence", "name": name}
        )
    request = parse_signing_string(name, strings[source])
    params = entry["body"] if isinstance(entry.get("body"), dict) else request.params
    text = signing_string(request.instruction, params, request.timestamp_ms, request.window_ms)
    mismatches: tuple[Mismatch, ...] = ()
    signature = None
    if expected is not None:
        given = entry.get(expected.replace("_string", "_signature_b64"))
        signature = keys.any_signature(text, given)
        mismatches = compare(f"divergence {name}", expected, strings[expected], text)
        if given is not None:
            place = f"divergence {name}"
            mismatches += compare(place, f"signature of {expected}", given, signature)
    elif entry.get("equal") is True:
        mismatches = compare(f"divergence {name}", source, strings[source], text)
    same = ", ".join(k for k, v in strings.items() if v == text) or "none of the file"
    line = _line("divergence", name, f"ours is {same}", text, signature, mismatches)
    line.record["equals"] = [k for k, v in strings.items() if v == text]
    return line


def _negative(case: Negative, keys: Keys) -> Line:
    """The right string is the one that we build, and the wrong one's signature fails for it."""
    request = parse_signing_string(case.name, case.correct_signing_string)
    text = signing_string(
        request.instruction, request.params, request.timestamp_ms, request.window_ms
    )
    place = f"negative {case.name}"
    verifies = keys.any_signature(text, case.bad_signature_b64) == case.bad_signature_b64
    mismatches = compare(place, "correct_signing_string", case.correct_signing_string, text)
    mismatches += compare(place, "must_verify", case.must_verify, verifies)
    if text == case.bad_signing_string:
        mismatches += (Mismatch(place, "signing string", "not the bad one", text),)
    shown = "the bad signature passes" if verifies else "the bad signature fails"
    line = _line("negative", case.name, shown, text, None, mismatches)
    line.record["bad_signature_verifies"] = verifies
    return line


def _captured(case: Captured, keys: Keys) -> Line:
    request = parse_signing_string(case.name, case.signing_string)
    text = signing_string(
        request.instruction, request.params, request.timestamp_ms, request.window_ms
    )
    signature = keys.signer(case.key, request.window_ms).sign(text)
    place = f"captured {case.name}"
    mismatches = compare(place, "signing_string", case.signing_string, text)
    mismatches += compare(place, "signature_b64", case.signature_b64, signature)
    return _line("captured", case.name, case.key, text, signature, mismatches)


def parse_signing_string(place: str, text: str) -> Request:
    """Read `instruction=…&k=v…&timestamp=…&window=…` back into a request; raises `FormatError`."""
    fields = dict(pair.partition("=")[::2] for pair in text.split("&"))
    try:
        timestamp, window = int(fields.pop("timestamp")), int(fields.pop("window"))
        return Request(fields.pop("instruction"), fields, timestamp, window)
    except (KeyError, ValueError):
        raise FormatError(
            f"{place}: the signing string lacks an instruction, a timestamp or a window: correct it"
        ) from None


def _line(  # noqa: PLR0917 - the columns of a row
    kind: str,
    name: str,
    detail: str,
    text: str,
    signature: str | None,
    mismatches: tuple[Mismatch, ...],
) -> Line:
    verdict = "MISMATCH" if mismatches else "match"
    rows = [f"{kind:<10}  {name:<36}  {verdict:<8}  {detail}", f"    {text}"]
    record: dict[str, Any] = {"kind": kind, "name": name, "detail": detail, "signing_string": text}
    if signature is not None:
        rows.append(f"    {signature}")
        record["signature"] = signature
    return Line("\n".join(rows), record | {"match": not mismatches}, mismatches)
