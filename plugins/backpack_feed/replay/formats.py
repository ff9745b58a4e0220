"""Recognises a recorded file by its content and starts the replay that fits."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from backpack_feed.replay import (
    control,
    depth_sync,
    findings,
    frames,
    nasty,
    recording,
    rest_pairs,
    schema,
    signing_vectors,
)
from backpack_feed.replay.files import named, parse, parse_as, read_body, unreadable
from backpack_feed.replay.report import FormatError, Line

KNOWN = (
    "scenarios of depth synchronisation, frames, cases of nasty inputs or of control frames,"
    " REST exchanges, a schema of streams, signing vectors, findings, or one raw frame per line"
)


@dataclass(frozen=True)
class Format:
    """A file whose top holds `container`, a list or an object of items that hold `item`."""

    container: str
    item: str
    type: type[Any]
    replay: Callable[[Any], Iterable[Line]]


FORMATS = (
    Format("scenarios", "events", depth_sync.DepthSyncFile, depth_sync.replay),
    Format("frames", "stream", frames.FramesFile, frames.replay),
    Format("cases", "client_sends", control.ControlFile, control.replay),
    Format("cases", "input", nasty.NastyFile, nasty.replay),
    Format("exchanges", "request", rest_pairs.RestFile, rest_pairs.replay),
    Format("streams", "fields", schema.SchemaFile, schema.replay),
    Format("vectors", "instruction", signing_vectors.SigningFile, signing_vectors.replay),
    Format("findings", "what", findings.FindingsFile, findings.replay),
)


def replay_file(path: Path) -> Iterator[Line]:
    """Replay a file of any known format; raises `FormatError` naming what cannot be read."""
    first = _first_line(path)
    if recording.is_recorded(first):
        yield from recording.replay(path)
        return
    body = read_body(path)
    known = recognise(parse(path, body))
    if known is None:
        raise FormatError(f"{path}: is none of the known formats: give {KNOWN}")
    yield from named(path, known.replay(parse_as(path, body, known.type)))


def recognise(content: Any) -> Format | None:
    """Return the format of a parsed file; its top level decides, and then its first item."""
    if not isinstance(content, dict):
        return None
    for candidate in FORMATS:
        items = content.get(candidate.container)
        if isinstance(items, dict):
            items = list(items.values())
        if not isinstance(items, list):
            continue
        if not items or (isinstance(items[0], dict) and candidate.item in items[0]):
            return candidate
    return None


def _first_line(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return next((line for line in file if line.strip()), b"")
    except OSError as error:
        raise unreadable(path, error) from error
