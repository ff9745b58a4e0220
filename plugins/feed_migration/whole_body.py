"""The body of an HTTP reply, read as far as it may take and no further."""

import time
from collections.abc import Callable

_PIECE_BYTES = 64 * 1024


class EndlessReply(Exception):  # noqa: N818 - reads as the fact it states
    """A reply that was given up before its end."""


class OverlongReply(EndlessReply):
    """It is longer than anybody wants to read."""


def whole_body(
    read_some: Callable[[int], bytes],
    *,
    most_bytes: int,
    seconds: float,
    monotonic: Callable[[], float] = time.monotonic,
) -> bytes:
    """Return what `read_some` gives piece by piece until it gives nothing.

    Raises `EndlessReply` after `most_bytes`, or with the first piece after `seconds`. `read_some`
    is to return what has come: one that waits for a whole piece is kept waiting by one byte a
    second.
    """
    until = monotonic() + seconds
    body = bytearray()
    while piece := read_some(_PIECE_BYTES):
        body += piece
        if len(body) > most_bytes:
            raise OverlongReply(f"more than {most_bytes} bytes")
        if monotonic() > until:
            raise EndlessReply(f"not whole after {seconds:g} s")
    return bytes(body)
