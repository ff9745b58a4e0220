"""Reads files; whatever is wrong with one is a single line with the place and the remedy."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

import msgspec

from backpack_feed.replay.report import FormatError, Line

FILE_LIMIT_BYTES: Final = 256 * 1024 * 1024
NOT_JSON: Final = "give a JSON file, or one frame per line"


def read_body(path: Path) -> bytes:
    """Return the file's content; raises `FormatError`."""
    try:
        if path.stat().st_size > FILE_LIMIT_BYTES:
            raise FormatError(
                f"{path}: has more than {FILE_LIMIT_BYTES} bytes: split it into parts"
            )
        return path.read_bytes()
    except OSError as error:
        raise unreadable(path, error) from error


def parse(path: Path, body: bytes) -> Any:
    """Return the parsed JSON; raises `FormatError`."""
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise FormatError(f"{path}: is not JSON ({error}): {NOT_JSON}") from None


def parse_as[T](path: Path, body: bytes, kind: type[T]) -> T:
    """Return the parsed JSON as `kind`; the error names the place within the file."""
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.ValidationError as error:
        raise FormatError(f"{path}: {error}: correct this entry of the file") from None


def named(path: Path, lines: Iterable[Line]) -> Iterator[Line]:
    """Pass lines on; a refusal of what the file holds gets the file's name."""
    try:
        yield from lines
    except FormatError as error:
        raise FormatError(f"{path}: {error}") from None


def unreadable(path: Path, error: OSError) -> FormatError:
    """Return the refusal of a file that cannot be opened."""
    return FormatError(
        f"{path}: cannot be read: {error.strerror}: check the path and its permissions"
    )
