"""Files that are whole after any crash, and that a full disk does not keep from changing."""

import errno
import os
from pathlib import Path


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
        written = os.write(descriptor, raw)
        if written != len(raw):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        os.ftruncate(descriptor, len(raw))
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
