"""What `journal_url` means: a database's URL, or the path of a SQLite file.

Whatever is no URL would be a path, so a mistyped URL would become a file with a password in its
name, and each process that reads it another, empty journal. What looks like one is neither.
"""

import re
from pathlib import Path
from urllib.parse import quote

_URL = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)
_SQLITE = "sqlite:///"
# a user, a port; or a scheme that has lost its colon, or its slashes
_MISTYPED = re.compile(
    r"[@:]|^(?:postgres(?:ql)?|mysql|mariadb|oracle|mssql)(?![a-z0-9])|^sqlite(?:[/+]|$)",
    re.IGNORECASE,
)
REMEDY = f"write a database as scheme://..., and a file's path like that as {_SQLITE}PATH"


def is_mistyped(text: str) -> bool:
    """Return whether it is no URL and looks more like one than like a path."""
    return not _URL.match(text) and _MISTYPED.search(text) is not None


def in_home(home: Path, text: str) -> str:
    """Return an SQLAlchemy URL; a path, or a relative SQLite URL, means the state directory."""
    path = text.removeprefix(_SQLITE)
    if "://" in path:
        return text
    # in a URL a percent sign is an escape, in a path it is not
    place = Path(quote(str(home))) / (quote(path) if path == text else path)
    return f"{_SQLITE}{place}"
