"""All files below a folder that somebody may still be writing to."""

from contextlib import suppress
from pathlib import Path

from tests.support.conditions import eventually_sync


def contents(folder: Path) -> dict[str, bytes]:
    """Path below the folder → content; looked at anew where a file vanished, as SQLite's own do."""

    def looked() -> dict[str, bytes] | None:
        with suppress(FileNotFoundError):
            files = (path for path in folder.rglob("*") if path.is_file())
            return {str(path.relative_to(folder)): path.read_bytes() for path in files}
        return None

    return dict(eventually_sync(looked))
