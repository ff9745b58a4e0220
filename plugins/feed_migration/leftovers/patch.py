"""Changes of text files as a patch for `git apply`. Pure."""

import re
from collections.abc import Iterator, Mapping
from difflib import unified_diff

_NO_END = "\\ No newline at end of file\n"


def git_patch(
    before: Mapping[str, str],
    changed: Mapping[str, str | None],
    executable: frozenset[str] = frozenset(),
) -> str:
    """Return the patch that makes of `before` (path → text) what `changed` says; None deletes."""
    return "".join(
        part
        for path, after in sorted(changed.items())
        for part in _file(path, before[path], after, executable=path in executable)
    )


def _file(path: str, before: str, after: str | None, *, executable: bool) -> Iterator[str]:
    old, new = _quoted(f"a/{path}"), _quoted(f"b/{path}")
    yield f"diff --git {old} {new}\n"
    if after is None:
        yield f"deleted file mode {'100755' if executable else '100644'}\n"
    hunks = list(unified_diff(_lines(before), _lines(after or ""), n=3))[2:]
    if hunks:
        yield f"--- {old}\n"
        yield "+++ /dev/null\n" if after is None else f"+++ {new}\n"
    for line in hunks:
        yield line if line.endswith("\n") else f"{line}\n{_NO_END}"


def _lines(text: str) -> list[str]:
    # at line feeds alone: git knows no other end of a line
    return [line for line in re.split(r"(?<=\n)", text) if line]


def _quoted(path: str) -> str:
    r"""Return a path as git writes it: in quotes with octal escapes where it is no plain text."""
    raw = path.encode()
    if all(0x20 <= byte < 0x7F and byte not in b'"\\' for byte in raw):  # noqa: PLR2004 - ASCII
        return path
    escaped = "".join(
        chr(byte) if 0x20 <= byte < 0x7F and byte not in b'"\\' else f"\\{byte:03o}"  # noqa: PLR2004
        for byte in raw
    )
    return f'"{escaped}"'
