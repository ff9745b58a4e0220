"""An append-only file of JSON lines that survives kill -9 at any byte."""

import fcntl
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec

from backpack_feed.refusal import SinkBusyError, SinkError

BLOCK_BYTES = 262_144
_ENCODER = msgspec.json.Encoder()
_DECODER = msgspec.json.Decoder(dict[str, Any])


class TapeFile:
    """An append-only file of JSON lines, owned by one process at a time."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._size = 0
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
            self._fd = os.open(path, flags, 0o644)
        except OSError as error:
            raise SinkError(f"{path}: cannot be opened: {error.strerror}") from error
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(self._fd)
            raise SinkBusyError(
                f"{path}: another process writes this tape: stop it, or give each its own folder"
            ) from error
        self._cut_torn_tail()

    def append(self, line: dict[str, Any]) -> None:
        """Write one line in one append; raises `SinkError` and leaves no torn line behind."""
        data = _ENCODER.encode(line) + b"\n"
        try:
            written = os.write(self._fd, data)
        except OSError as error:
            raise SinkError(f"{self.path}: {error.strerror}: free space, then restart") from error
        if written != len(data):
            os.ftruncate(self._fd, self._size)
            raise SinkError(f"{self.path}: disk full: free space, then restart")
        self._size += written

    def last_ids(self, symbols: Iterable[str]) -> dict[str, int]:
        """Return the last trade id of each symbol that has one, reading from the end."""
        missing = {symbol: b'"symbol":' + _ENCODER.encode(symbol) for symbol in symbols}
        found: dict[str, int] = {}
        end = self._size
        while end > 0 and missing:
            start, block = self._block_before(end)
            for symbol, marker in list(missing.items()):
                last_id = _last_id(block, marker)
                if last_id is not None:
                    found[symbol] = last_id
                    del missing[symbol]
            end = start
        return found

    def close(self) -> None:
        """Flush to the disk and let the next process have the file; may be called again."""
        if self._fd >= 0:
            os.fsync(self._fd)
            os.close(self._fd)
            self._fd = -1

    def _cut_torn_tail(self) -> None:
        size = os.fstat(self._fd).st_size
        whole, end = 0, size
        while end > 0:
            start = max(0, end - BLOCK_BYTES)
            newline = os.pread(self._fd, end - start, start).rfind(b"\n")
            if newline >= 0:
                whole = start + newline + 1
                break
            end = start
        if whole != size:
            os.ftruncate(self._fd, whole)
        self._size = whole

    def _block_before(self, end: int) -> tuple[int, bytes]:
        """Whole lines that end at `end`: (offset of the first, bytes)."""
        span = BLOCK_BYTES
        while True:
            start = max(0, end - span)
            block = os.pread(self._fd, end - start, start)
            if start == 0:
                return 0, block
            first_newline = block.find(b"\n")
            if 0 <= first_newline < len(block) - 1:
                return start + first_newline + 1, block[first_newline + 1 :]
            span *= 2  # one line is longer than the block


def _last_id(block: bytes, marker: bytes) -> int | None:
    """Return the last positive trade id of the marked symbol in whole lines, or None."""
    at = block.rfind(marker)
    while at >= 0:
        start = block.rfind(b"\n", 0, at) + 1
        stop = block.find(b"\n", at)
        try:
            trade_id = int(_DECODER.decode(block[start:stop]).get("id") or 0)
        except (msgspec.DecodeError, ValueError, TypeError):
            trade_id = 0
        # the venue's id 0 stands for "no id" and marks no place in the sequence
        if trade_id > 0:
            return trade_id
        at = block.rfind(marker, 0, start)
    return None
