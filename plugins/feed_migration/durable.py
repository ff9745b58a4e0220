"""Files that are whole after any crash, and that a full disk does not keep from changing."""

import errno
import fcntl
import os
import time
from pathlib import Path

# Who holds a lock for longer has been stopped in the middle of one line
LOCK_SECONDS = 2.0
_POLL_SECONDS = 0.01


def lock(descriptor: int, seconds: float = LOCK_SECONDS) -> None:
    """Lock a file for this process alone; raises BlockingIOError after `seconds`."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise
            time.sleep(_POLL_SECONDS)
        else:
            return


def append_whole(descriptor: int, raw: bytes) -> None:
    """Append `raw` durably to a file opened for writing, or leave the file as it was; OSError."""
    size = os.lseek(descriptor, 0, os.SEEK_END)
    try:
        _write_whole(descriptor, raw)
        os.fsync(descriptor)
    except OSError:
        os.ftruncate(descriptor, size)
        raise


def append_line(path: Path, line: str) -> None:
    """Append `line` durably, in one write: none of those that others append is lost. OSError.

    A line that was cut short by a crash stays one of its own. What a full disk took of this one
    stays as well: to cut it off could cut off another's.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    is_new = not path.exists()
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
    try:
        size = os.fstat(descriptor).st_size
        torn = size > 0 and os.pread(descriptor, 1, size - 1) != b"\n"
        _write_whole(descriptor, f"{'\n' if torn else ''}{line}\n".encode())
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    if is_new:
        _sync_folder(path.parent)


def _sync_folder(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_text(path: Path, text: str) -> None:
    """Replace the content of `path` atomically and durably; raises OSError.

    On a full disk the file is rewritten in place instead: its block is already ours. A small file
    fits into one write, and the way back must work on a full disk more than it must be elegant.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # hidden and not *.conf: nobody may include a half-written file
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        _write(temporary, text, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        if error.errno not in {errno.ENOSPC, errno.EDQUOT} or not path.exists():
            raise
        _write(path, text, os.O_WRONLY)


def _write(path: Path, text: str, flags: int) -> None:
    raw = text.encode()
    descriptor = os.open(path, flags, 0o644)
    try:
        _write_whole(descriptor, raw)
        os.ftruncate(descriptor, len(raw))
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _write_whole(descriptor: int, raw: bytes) -> None:
    # a full disk takes a part, and says so only at the next write
    if os.write(descriptor, raw) != len(raw):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
