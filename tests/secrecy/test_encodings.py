"""The search for secrets finds each of them in every encoding."""

import base64
import bz2
import gzip
import html
import io
import json
import lzma
import pickle
import random
import re
import zipfile
import zlib
from urllib.parse import quote, quote_plus, urlencode

import msgspec
import pytest

from tests.secrecy.decoys import PASSWORD, RAW, SEED, TEXT, found
from tests.secrecy.search import Place

SPELLINGS = {
    "raw": RAW,
    "base64": TEXT.encode(),
    "base64 without padding": TEXT.rstrip("=").encode(),
    "urlsafe base64": base64.urlsafe_b64encode(RAW),
    "urlsafe base64 without padding": base64.urlsafe_b64encode(RAW).rstrip(b"="),
    "MIME": base64.encodebytes(RAW),
    "hex": RAW.hex().encode(),
    "upper hex": RAW.hex().upper().encode(),
    "hex with colons": RAW.hex(":").encode(),
    "numbers": str(list(RAW)).encode(),
    "dense numbers": msgspec.json.encode(list(RAW)),
    "repr of bytes": repr(RAW).encode(),
    "URL-quoted bytes": quote(RAW).encode(),
    "bytes in JSON": json.dumps(RAW.decode("latin-1")).encode(),
    "cut in a log": TEXT[:30].encode(),
    "the end of a cut line": TEXT[-30:].encode(),
}
CARRIERS = {
    "plain": lambda data: data,
    "a repr": lambda data: repr(data).encode(),
    "the repr of a string": lambda data: repr(data.decode("latin-1")).encode(),
    "JSON": lambda data: json.dumps(data.decode("latin-1")).encode(),
    "JSON with escaped slashes": lambda data: (
        json.dumps(data.decode("latin-1")).replace("/", "\\/").encode()
    ),
    "a URL": lambda data: quote(data, safe="").encode(),
    "a lower-case URL": lambda data: re.sub(
        "%..", lambda found: found[0].lower(), quote(data, safe="")
    ).encode(),
    "a form": lambda data: urlencode({"key": data}).encode(),
    "a form with spaces": lambda data: quote_plus(b"a b " + data).encode(),
    "JSON for the web": lambda data: (
        (json.dumps(data.decode("latin-1")).replace("<", "\\u003c").replace(">", "\\u003e"))
        .replace("&", "\\u0026")
        .encode()
    ),
    "HTML": lambda data: html.escape(data.decode("latin-1")).encode(),
    "base64 at 0": lambda data: base64.b64encode(b"abc" + data + b"de"),
    "base64 at 1": lambda data: base64.b64encode(b"a" + data + b"b"),
    "base64 at 2": lambda data: base64.b64encode(b"ab" + data + b"c"),
    "urlsafe base64 at 1": lambda data: base64.urlsafe_b64encode(b"a" + data + b"b"),
    "urlsafe base64 at 2": lambda data: base64.urlsafe_b64encode(b"ab" + data),
    "hex": lambda data: data.hex().encode(),
    "upper hex": lambda data: data.hex().upper().encode(),
    "msgpack": lambda data: msgspec.msgpack.encode({"key": [data]}),
    "a pickle": lambda data: pickle.dumps({"key": data}),
}


def zipped(data: bytes) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("dump/notes.txt", data)
    return stream.getvalue()


COMPRESSIONS = {
    "gzip": gzip.compress,
    "gzip in two parts": lambda data: gzip.compress(b"nothing") + gzip.compress(data),
    "zlib": zlib.compress,
    "zlib, best": lambda data: zlib.compress(data, 9) + b"and more",
    "zip": zipped,
    "bzip2": bz2.compress,
    "xz": lzma.compress,
    "gzip in zip": lambda data: zipped(gzip.compress(data)),
}


def is_found(content: bytes) -> bool:
    # at any alignment within a machine's word
    return all(
        found(Place("x", "x", b" " * offset + content + b" tail")) == {("x", SEED.name)}
        for offset in range(9)
    )


@pytest.mark.parametrize("carrier", CARRIERS.values(), ids=CARRIERS)
def test_a_key_is_found_however_it_is_spelled_and_carried(carrier):
    """Also what is left of one in a line that was cut or wrapped."""
    missed = [
        name
        for name, spelled in SPELLINGS.items()
        if not is_found(b'{"log": ' + carrier(spelled) + b"}")
    ]
    assert missed == []


@pytest.mark.parametrize("carrier", CARRIERS.values(), ids=CARRIERS)
def test_a_password_is_found_however_it_is_carried(carrier):
    """A word that is no encoding of anything."""
    content = b"user=ann " + carrier(PASSWORD.text.encode()) + b" end"
    assert found(Place("x", "x", content)) == {("x", PASSWORD.name)}


@pytest.mark.parametrize("compress", COMPRESSIONS.values(), ids=COMPRESSIONS)
def test_a_key_is_found_in_compressed_data(compress):
    """Within each other, too."""
    assert found(Place("x", "x", compress(b"key " + TEXT.encode()))) == {("x", SEED.name)}


def test_what_is_no_secret_is_not_found():
    """Neither another key nor data that only begins like something compressed."""
    other = Place("x", "x", base64.b64encode(random.Random(8).randbytes(1_000_000)))
    broken = [Place("x", "x", magic + b"nonsense") for magic in (b"\x1f\x8b", b"PK\3\4", b"x\x9c")]
    assert found(other, *broken, Place("x", "empty", b"")) == set()
