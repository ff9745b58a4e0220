"""Reading a client's control frame: what it asks for, and the error frames it earns."""

from dataclasses import dataclass, field
from typing import Literal

import msgspec

from backpack_sandbox.constants import (
    DEPTH_WINDOWS_MS,
    INVALID_DEPTH_WINDOW,
    INVALID_STREAM,
    LOOKS_LIKE_A_WINDOW,
    PARSE_ERROR,
    PRIVATE_STREAM_TYPES,
    PUBLIC_STREAM_TYPES,
)
from backpack_sandbox.streams.names import OWNER_MARK, is_private, private_stream

__all__ = ["ControlFrame", "Request", "is_private", "private_stream", "read_request"]


class ControlFrame(msgspec.Struct, frozen=True):
    """`{"method":…,"params":[…],"signature":[…]}`; an `id` and other keys are tolerated."""

    method: Literal["SUBSCRIBE", "UNSUBSCRIBE"]
    params: list[str]
    signature: list[str] | None = None


@dataclass(slots=True)
class Request:
    """A control frame, judged: `streams` exist by type, `errors` go back to the client."""

    subscribe: bool = False
    streams: list[str] = field(default_factory=list)
    signature: list[str] | None = None
    errors: list[bytes] = field(default_factory=list)

    @property
    def needs_signature(self) -> bool:
        """A private stream is asked for; leaving one needs no signature."""
        return self.subscribe and any(is_private(stream) for stream in self.streams)


def read_request(raw: str | bytes) -> Request:
    """Judge one control frame.

    A stream with an unknown symbol is no error: the venue says nothing, for ever.
    """
    try:
        frame = msgspec.json.decode(raw, type=ControlFrame)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return Request(errors=[PARSE_ERROR])
    request = Request(subscribe=frame.method == "SUBSCRIBE", signature=frame.signature)
    for stream in frame.params:
        if error := _stream_error(stream):
            request.errors.append(error)
        else:
            request.streams.append(stream)
    return request


def _stream_error(stream: str) -> bytes | None:
    if OWNER_MARK in stream:
        return INVALID_STREAM
    if is_private(stream):
        known = ".".join(stream.split(".", 2)[:2]) in PRIVATE_STREAM_TYPES
        return None if known else INVALID_STREAM
    kind, _, rest = stream.partition(".")
    if kind not in PUBLIC_STREAM_TYPES:
        return INVALID_STREAM
    first = rest.partition(".")[0]
    if kind == "depth" and LOOKS_LIKE_A_WINDOW.match(first) and first not in DEPTH_WINDOWS_MS:
        return INVALID_DEPTH_WINDOW
    return None
