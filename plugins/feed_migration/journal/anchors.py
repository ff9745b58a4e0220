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
# The head before some new ones, and these
type Known = tuple[Head | None, Sequence[Head]]


class AnchorsDiffer(Exception):  # noqa: N818 - reads as the fact it states
    """The last anchored head is not in the database: one of the two is another's, or older."""


class AnchorFile:
    """Append-only file of heads, one writer at a time; methods raise OSError, AnchorsDiffer."""

    def __init__(self, path: Path, hook: Hook | None = None) -> None:
        self.path = path
        self._hook = hook

    def extend(self, heads_from: Callable[[int], Sequence[Head]], known: Known | None) -> None:
        """Append the heads behind the last anchored one; a torn line is repaired before.

        `heads_from` asks the database, from an event's head on. It is not asked where `known` is
        all that is missing. Where the database does not have the last anchored head, nothing is
        appended: what it has instead would hide the contradiction.
        """
        if known is None and not self.path.exists() and not heads_from(0):
            return
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self._locked() as stream:
            last = self._repair(stream)
            for heads in batched(self._missing(last, heads_from, known), _BATCH, strict=False):
                append_whole(stream.fileno(), b"".join(map(_line, heads)))
                for head in heads:
                    LOG.info(
                        "journal head %d:%s signed by %s", head.seq, head.hash, head.key or "-"
                    )
                    self._tell(head)

    def set_aside(self, name: str) -> None:
        """Keep the file under another name beside it; whoever waits for it appends nothing."""
        with self._locked() as stream:
            kept = self.path.with_name(name)
            os.link(self.path, kept)  # raises where there is one already
            self.path.unlink()
            os.fsync(stream.fileno())

    def _missing(
        self,
        last: Head | None,
        heads_from: Callable[[int], Sequence[Head]],
        known: Known | None,
    ) -> Sequence[Head]:
        if known is not None and known[0] == last:
            return known[1]
        if last is None:
            return heads_from(0)
        heads = heads_from(last.seq)
        if not heads:
            raise AnchorsDiffer(f"anchored up to event {last.seq}, which the journal does not have")
        if heads[0] != last:
            raise AnchorsDiffer(f"the head of event {last.seq} is another in the journal")
        return heads[1:]

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
        if not newline:
            return None
        last = _head(whole.rsplit(b"\n", 1)[-1])
        if last is None:
            raise AnchorsDiffer("its last line is no head")
        return last

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


def read_anchors(path: Path) -> Iterator[Head | None]:
    """Return the head of every line that is whole now, None for a line that is none.

    A file that does not exist holds no heads. Raises `UsageError`, also while it is read.
    """
    try:
        size = path.stat().st_size
    except FileNotFoundError:
        size = 0
    except OSError as error:
        raise _unreadable(path, error) from error
    return _read(path, size) if size else iter(())


def _read(path: Path, size: int) -> Iterator[Head | None]:
    try:
        with path.open("rb") as stream:
            for line in stream:
                size -= len(line)
                if size < 0 or not line.endswith(b"\n"):
                    return
                if line.strip():
                    yield _head(line)
    except OSError as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: OSError) -> UsageError:
    return UsageError(
        f"{path}: cannot be read ({error.strerror})", "name the file of anchored heads"
    )


def _line(head: Head) -> bytes:
    return canonical_json(asdict(head)).encode() + b"\n"


def _head(line: bytes) -> Head | None:
    try:
        return msgspec.json.decode(line, type=Head)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
