"""The list of references to ccxt and its patch, as files beside the report."""

from dataclasses import dataclass
from pathlib import Path

from feed_migration.durable import write_text
from feed_migration.leftovers.checkout import executables, read_checkout
from feed_migration.leftovers.patch import git_patch
from feed_migration.leftovers.removal import Mention, Removal, plan_removal
from feed_migration.markdown import cell, code

_MAX_TEXT = 160
_LEFT = (
    "**{count} are left to people**: sentences, shared fixtures and code that also serves other "
    "ends. Imports that nothing uses any more are left, too; the linter finds them. The feed "
    "itself (`plugins/`) is not touched."
)


@dataclass(frozen=True, kw_only=True)
class Leftovers:
    """Where the list and the patch are, and what they come to in a few lines of Markdown."""

    listing: Path
    patch: Path
    summary: str


def write_leftovers(root: Path, folder: Path, name: str) -> Leftovers:
    """Write `name`-ccxt-references.md and `name`-ccxt-removal.patch into `folder`; OSError.

    `root` is the checkout; nothing in it is changed.
    """
    texts, unread = read_checkout(root)
    removal = plan_removal(texts)
    modes = executables(root, tuple(removal.changed))
    listing, patch = folder / f"{name}-ccxt-references.md", folder / f"{name}-ccxt-removal.patch"
    write_text(patch, git_patch(texts, removal.changed, modes))
    summary = _summary(removal, unread, patch)
    write_text(listing, f"# References to ccxt in {root}\n\n{summary}\n\n{_listing(removal)}\n")
    return Leftovers(listing=listing, patch=patch, summary=summary)


def _summary(removal: Removal, unread: tuple[str, ...], patch: Path) -> str:
    gone = [path for path, after in removal.changed.items() if after is None]
    edited = [path for path, after in removal.changed.items() if after is not None]
    taken = len(removal.found) - len(removal.left)
    lines = [
        _taken(len(removal.found), taken, len(gone), len(edited)),
        _LEFT.format(count=len(removal.left)),
        f"Apply it in a clean checkout, when nobody needs the way back: `git apply {patch.name}`.",
        *(f"* {note}" for note in removal.notes),
    ]
    if unread:
        names = ", ".join(code(name) for name in unread)
        lines.append(f"Not read, being no text or too large: {names}.")
    return "\n\n".join(lines)


def _taken(found: int, taken: int, gone: int, edited: int) -> str:
    return (
        f"{found} lines of docs, fixtures and tests name ccxt. The patch takes {taken} of them "
        f"out: it deletes {gone} files and changes {edited}."
    )


def _listing(removal: Removal) -> str:
    gone = [path for path, after in removal.changed.items() if after is None]
    parts = ["## Files that the patch deletes", *(f"- {code(path)}" for path in gone)]
    # by their text: the patch moves lines
    left = {(one.path, one.text) for one in removal.left}
    parts += ["", "## Lines that are left to people", "", *_rows(removal.left)]
    parts += ["", "## Lines that the patch takes out", ""]
    parts += _rows(tuple(one for one in removal.found if (one.path, one.text) not in left))
    return "\n".join(parts)


def _rows(rows: tuple[Mention, ...]) -> list[str]:
    if not rows:
        return ["None."]
    lines = ["| where | text |", "| --- | --- |"]
    lines += [f"| {cell(one.path)}:{one.line} | {cell(one.text[:_MAX_TEXT])} |" for one in rows]
    return lines
