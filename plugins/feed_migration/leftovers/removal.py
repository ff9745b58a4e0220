"""What can be taken out of docs, fixtures and tests without a person's judgement. Pure.

Whole files that are named after ccxt, test functions that are, and the table rows and list items of
documents that only lead to files which go. Everything else is left, and said to be left: a sentence
that mentions ccxt may be history, a comparison or a reason, and no program can tell.
"""

import ast
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

WORD = re.compile(r"ccxt", re.IGNORECASE)
# the record of what happened stays; so does what the product itself writes into
KEPT = ("docs/migrations/", "CHANGELOG.md")


@dataclass(frozen=True, kw_only=True)
class Mention:
    """One line that names ccxt; `line` counts from 1."""

    path: str
    line: int
    text: str


@dataclass(frozen=True, kw_only=True)
class Removal:
    """`changed` is path → new text, None where the file goes; `left` are the mentions that stay."""

    changed: Mapping[str, str | None]
    found: tuple[Mention, ...]
    left: tuple[Mention, ...]
    notes: tuple[str, ...]


def plan_removal(texts: Mapping[str, str]) -> Removal:
    """Return what to take out of `texts` (path → text), such that Python files still compile."""
    found = tuple(mentions(texts))
    notes: list[str] = []
    gone = {path for path in texts if _is_named(path)}
    for path, user in _imported(gone, texts):
        gone.discard(path)
        notes.append(f"`{path}` stays: `{user}` imports it")
    changed: dict[str, str | None] = dict.fromkeys(sorted(gone))
    for path, text in texts.items():
        if path in gone or path.startswith(KEPT):
            continue
        after = _without(path, text, gone)
        if after is not None and after != text:
            changed[path] = after
    kept = {path: changed.get(path, text) for path, text in texts.items()}
    left = tuple(mentions({path: text for path, text in kept.items() if text is not None}))
    return Removal(changed=changed, found=found, left=left, notes=tuple(notes))


def mentions(texts: Mapping[str, str]) -> Iterator[Mention]:
    """Yield every line that names ccxt; a file that does so by its name alone counts as line 0."""
    for path, text in texts.items():
        lines = [n for n, line in enumerate(text.split("\n"), start=1) if WORD.search(line)]
        rows = text.split("\n")
        if not lines and WORD.search(path):
            yield Mention(path=path, line=0, text="(the file's name)")
        for number in lines:
            yield Mention(path=path, line=number, text=rows[number - 1].strip())


def _is_named(path: str) -> bool:
    return bool(WORD.search(PurePosixPath(path).name)) and not path.startswith(KEPT)


def _imported(gone: set[str], texts: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yield (file, who needs it) of the files that another one, which stays, imports or names."""
    for path in sorted(gone):
        module = re.escape(path.removesuffix(".py").replace("/", "."))
        stem = re.escape(PurePosixPath(path).name)
        wanted = re.compile(rf"\b{module}\b" if path.endswith(".py") else rf"[\"'/]{stem}[\"']")
        for user, text in texts.items():
            if user not in gone and user.endswith(".py") and wanted.search(text):
                yield path, user
                break


def _without(path: str, text: str, gone: set[str]) -> str | None:
    if path.endswith(".py"):
        return _without_tests(text)
    return _without_links(text, gone) if path.endswith(".md") else None


def _without_tests(text: str) -> str | None:
    """Return a module without its test functions that are named after ccxt; None where none is."""
    try:
        module = ast.parse(text)
    except (SyntaxError, ValueError):
        return None
    spans = {node: _span(node) for node in module.body}
    doomed = [node for node in module.body if _is_doomed(node)]
    lines = re.split(r"(?<=\n)", text)
    drop: set[int] = set()
    for node in doomed:
        # what shares a line with another statement is left
        if not any(spans[node] & span for other, span in spans.items() if other is not node):
            drop |= spans[node] | _blank_before(lines, min(spans[node]))
    if not drop:
        return None
    after = "".join(line for number, line in enumerate(lines, start=1) if number not in drop)
    try:
        compile(after, "patched", "exec")
    except (SyntaxError, ValueError):
        return None
    return after


def _is_doomed(node: ast.stmt) -> bool:
    if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        return False
    return node.name.startswith("test_") and bool(WORD.search(node.name))


def _span(node: ast.stmt) -> set[int]:
    """Return the numbers of a statement's lines, with its decorators."""
    decorators = getattr(node, "decorator_list", [])
    first = min([node.lineno, *(decorator.lineno for decorator in decorators)])
    return set(range(first, (node.end_lineno or node.lineno) + 1))


def _blank_before(lines: list[str], first: int) -> set[int]:
    """Return the numbers of the empty lines above a function, which go with it."""
    found: set[int] = set()
    number = first - 1
    while number >= 1 and not lines[number - 1].strip():
        found.add(number)
        number -= 1
    return found


def _without_links(text: str, gone: set[str]) -> str:
    """Return a document without the rows and items that only lead to files which go."""
    names = {PurePosixPath(path).name for path in gone}

    def leads_there(line: str) -> bool:
        targets = [PurePosixPath(t).name for t in re.findall(r"\]\(([^)#:]+)\)", line)]
        return bool(targets) and set(targets) <= names

    rows = re.split(r"(?<=\n)", text)
    return "".join(r for r in rows if not (re.match(r"\s*(\||[-*] )", r) and leads_there(r)))
