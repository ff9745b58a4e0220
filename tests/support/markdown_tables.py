"""Tables of a Markdown page, and the anchors that its headings have on GitHub."""

import re
from pathlib import Path

_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")


def tables(text: str) -> dict[str, list[dict[str, str]]]:
    """Rows of the last table under each heading, by the header's names; cells are stripped."""
    found: dict[str, list[dict[str, str]]] = {}
    heading, names = "", []
    for line in text.splitlines():
        if line.startswith("#"):
            heading, names = line.lstrip("# "), []
        elif line.startswith("|") and not line.startswith("| ---"):
            cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
            if names:
                found[heading].append(dict(zip(names, cells, strict=True)))
            else:
                names = cells
                found[heading] = []
        elif not line.startswith("|"):
            names = []
    return found


def anchors(text: str) -> set[str]:
    """Anchors of the headings: lower case, spaces as dashes, punctuation gone."""
    fenced = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(r"^#+ (.+)$", fenced, flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def broken_links(page: Path) -> list[str]:
    """Links of a page to files or sections that do not exist; addresses are not asked."""
    broken = []
    for link in _LINK.findall(page.read_text()):
        name, _, section = link.partition("#")
        if "://" in link:
            continue
        target = (page.parent / name).resolve() if name else page
        if not target.exists() or (section and section not in anchors(target.read_text())):
            broken.append(link)
    return broken


def ticked(cell: str) -> list[str]:
    """What stands in backticks in a cell."""
    return re.findall(r"`([^`]+)`", cell)
