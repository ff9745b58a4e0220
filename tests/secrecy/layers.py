"""Takes compressed data apart: gzip, zlib, zip, bzip2 and xz, within each other."""

import bz2
import gzip
import io
import lzma
import zipfile
import zlib
from collections.abc import Callable, Iterator

MAX_DEPTH = 4


def layers(data: bytes, depth: int = MAX_DEPTH) -> Iterator[bytes]:
    """Yield `data` and what is compressed in it; msgpack and pickle hold strings as they are."""
    yield data
    for magic, unpack in _FORMATS:
        if depth and data.startswith(magic):
            for inner in _unpacked(unpack, data):
                yield from layers(inner, depth - 1)


def _unpacked(unpack: Callable[[bytes], list[bytes]], data: bytes) -> list[bytes]:
    """What `unpack` makes of `data`; nothing where it only looks compressed."""
    try:
        return unpack(data)
    except (OSError, EOFError, ValueError, zlib.error, lzma.LZMAError, zipfile.BadZipFile):
        return []


def _members(data: bytes) -> list[bytes]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return [archive.read(name) for name in archive.namelist()]


_FORMATS: tuple[tuple[bytes, Callable[[bytes], list[bytes]]], ...] = (
    (b"\x1f\x8b", lambda data: [gzip.decompress(data)]),
    (b"PK\x03\x04", _members),
    (b"BZh", lambda data: [bz2.decompress(data)]),
    (b"\xfd7zXZ", lambda data: [lzma.decompress(data)]),
    *(
        (b"\x78" + level, lambda data: [zlib.decompressobj().decompress(data)])
        for level in (b"\x01", b"\x5e", b"\x9c", b"\xda")
    ),
)
