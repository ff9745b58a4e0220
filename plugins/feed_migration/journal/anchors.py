"""Heads of the journal kept outside its database: an append-only file, a log line, and a hook.

A line is `{"at":…,"hash":…,"key":…,"seq":…,"signature":…}`. The file lags behind the database by
at most what a crash or a full disk left out, and catches up from the database's own heads.
"""

import logging
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from itertools import batched
from pathlib import Path
from typing import IO

import msgspec

from feed_migration.durable import append_whole, lock
from feed_migration.errors import UsageError
from feed_migration.journal.chain import canonical_json
from feed_migration.journal.keys import Head

LOG = logging.getLogger(__name__)
_TAIL_BYTES = 4096
# Heads per fsync while the file catches up
_BATCH = 256

type Hook = Callable[[Head], None]


class AnchorFile:
    """Append-only file of heads, one writer at a time; methods raise OSError."""

    def __init__(self, path: Path, hook: Hook | None = None) -> None:
        self.path = path
        self._hook = hook

    def extend(self, heads_after: Callable[[int], Sequence[Head]]) -> None:
        """Append the heads behind the last anchored one; a torn line is repaired before."""
        if not self.path.exists() and not heads_after(0):
            return
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self._locked() as stream:
            last = self._repair(stream)
            for heads in batched(heads_after(last.seq if last else 0), _BATCH, strict=False):
                append_whole(stream.fileno(), b"".join(map(_line, heads)))
                for head in heads:
                    LOG.info(
                        "journal head %d:%s signed by %s", head.seq, head.hash, head.key or "-"
                    )
                    self._tell(head)

    def _repair(self, stream: IO[bytes]) -> Head | None:
        """Return the last head, behind which the file now ends."""
        size = stream.seek(0, os.SEEK_END)
        stream.seek(max(0, size - _TAIL_BYTES))
        tail = stream.read()
        if b"\n" not in tail:
            stream.seek(0)
            tail = stream.read()
        whole, newline, torn = tail.rpartition(b"\n")
        if torn:
            LOG.warning("%s: %d bytes of a torn line are cut off", self.path, len(torn))
            stream.truncate(size - len(torn))
            os.fsync(stream.fileno())
        lines = whole.rsplit(b"\n", 1)[-1:] if newline else []
        return next((head for head in map(_head, lines) if head), None)

    def _tell(self, head: Head) -> None:
        try:
            if self._hook is not None:
                self._hook(head)
        except Exception:
            LOG.exception("the hook for journal head %d failed, the head is anchored", head.seq)

    @contextmanager
    def _locked(self) -> Iterator[IO[bytes]]:
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o644)
        with os.fdopen(descriptor, "r+b", buffering=0) as stream:
            lock(stream.fileno())
            yield stream


def read_anchors(path: Path) -> list[Head | None]:
    """Return the head of every whole line, None for a line that is none; raises `UsageError`.

    A file that does not exist holds no heads.
    """
    try:
        whole, _, _ = path.read_bytes().rpartition(b"\n")
    except FileNotFoundError:
        return []
    except OSError as error:
        raise UsageError(
            f"{path}: cannot be read ({error.strerror})", "name the file of anchored heads"
        ) from error
    return [_head(line) for line in whole.split(b"\n") if line.strip()]


def _line(head: Head) -> bytes:
    return canonical_json(asdict(head)).encode() + b"\n"


def _head(line: bytes) -> Head | None:
    try:
        return msgspec.json.decode(line, type=Head)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
