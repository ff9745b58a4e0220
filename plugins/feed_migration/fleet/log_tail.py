"""The last lines of a log file, redacted. Never raises: evidence must not stop a rollback."""

from pathlib import Path

from feed_migration.redaction import redact

_MAX_BYTES = 65_536


def log_tail(path: Path, lines: int) -> tuple[str, ...]:
    """Return the last `lines` lines of `path`, or one line that says why there are none."""
    try:
        with path.open("rb") as stream:
            size = stream.seek(0, 2)
            stream.seek(max(0, size - _MAX_BYTES))
            raw = stream.read(_MAX_BYTES)
    except OSError as error:
        return (f"(no log at {path.name}: {error.strerror})",)
    text = raw.decode("utf-8", "replace").splitlines()
    # the first line is cut where the file is longer than what was read
    whole = text[1:] if size > _MAX_BYTES else text
    return tuple(redact(line) for line in whole[-lines:])
