"""The forms in which a secret may turn up: every common encoding, of its bytes and of its text.

What is looked for are halves: a line that was cut or wrapped still shows one of them.
"""

import base64
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from html import escape
from urllib.parse import quote, quote_plus

HALVED_FROM_BYTES = 16
MIN_NEEDLE_BYTES = 8


@dataclass(frozen=True)
class Secret:
    """`text` is what stands in the secret's file, `raw` the bytes that a key's text means."""

    name: str
    text: str = field(repr=False)
    raw: bytes | None = field(default=None, repr=False)


def key(name: str, text: str) -> Secret:
    """A key of which `text` is the hex or base64, of either alphabet, padded or not."""
    with_padding = text + "=" * (-len(text) % 4)
    try:
        return Secret(name, text, bytes.fromhex(text))
    except ValueError:
        return Secret(name, text, base64.b64decode(with_padding.translate(_STANDARD)))


def needles(secret: Secret) -> dict[bytes, str]:
    """Needle → the plainest form of `secret` that it is."""
    found: dict[bytes, str] = {}
    for spelling, spelled in _spellings(secret):
        for half in _halves(spelled):
            for form, needle in _forms(half):
                if len(needle) >= MIN_NEEDLE_BYTES:
                    found.setdefault(needle, f"{spelling}, {form}" if form else spelling)
    return found


def _spellings(secret: Secret) -> Iterator[tuple[str, bytes]]:
    yield "as written", secret.text.encode()
    if (raw := secret.raw) is None:
        return
    text = raw.decode("latin-1")
    yield "raw bytes", raw
    yield "base64", base64.b64encode(raw).rstrip(b"=")
    yield "urlsafe base64", base64.urlsafe_b64encode(raw).rstrip(b"=")
    yield "hex", raw.hex().encode()
    yield "upper hex", raw.hex().upper().encode()
    yield "hex with colons", raw.hex(":").encode()
    yield "numbers", ", ".join(map(str, raw)).encode()
    yield "dense numbers", ",".join(map(str, raw)).encode()
    yield "repr", repr(raw)[2:-1].encode()
    yield "repr of a string", repr(text)[1:-1].encode()
    yield "JSON", json.dumps(text)[1:-1].encode()
    yield "URL-quoted", quote(raw, safe="").encode()


def _halves(spelled: bytes) -> tuple[bytes, ...]:
    middle = len(spelled) // 2
    whole = len(spelled) < HALVED_FROM_BYTES
    return (spelled,) if whole else (spelled[:middle], spelled[middle:])


def _forms(data: bytes) -> Iterator[tuple[str, bytes]]:
    """`data` itself, and as other formats carry it."""
    text = data.decode("latin-1")
    escaped, quoted = json.dumps(text)[1:-1], quote(data, safe="")
    yield "", data
    yield "in hex", data.hex().encode()
    yield "in upper hex", data.hex().upper().encode()
    for alignment in range(3):
        block = _base64_within(data, alignment)
        yield f"in base64 at {alignment}", block
        yield f"in urlsafe base64 at {alignment}", block.translate(_URLSAFE)
    yield "URL-quoted", quoted.encode()
    yield "URL-quoted in lower case", _ESCAPE.sub(lambda found: found[0].lower(), quoted).encode()
    yield "URL-quoted but for /", quote(data).encode()
    yield "URL-quoted as a form", quote_plus(data).encode()
    yield "in a repr", repr(data)[2:-1].encode()
    yield "in the repr of a string", repr(text)[1:-1].encode()
    yield "in JSON", escaped.encode()
    yield "in JSON with \\/", escaped.replace("/", "\\/").encode()
    yield "in JSON for the web", escaped.translate(_FOR_THE_WEB).encode()
    yield "in HTML", escape(text).encode()


def _base64_within(data: bytes, alignment: int) -> bytes:
    """The characters that `data` alone decides, `alignment` bytes behind a start of three."""
    encoded = base64.b64encode(bytes(alignment) + data)
    first, end = -(-alignment * 8 // 6), (alignment + len(data)) * 8 // 6
    return encoded[first:end]


_STANDARD = str.maketrans("-_", "+/")
_ESCAPE = re.compile("%[0-9A-F]{2}")
_FOR_THE_WEB = {ord(character): f"\\u{ord(character):04x}" for character in "<>&'"}
_URLSAFE = bytes.maketrans(b"+/", b"-_")
