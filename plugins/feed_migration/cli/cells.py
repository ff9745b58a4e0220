"""Text in the cells of a terminal: fitted, cut and wrapped. Pure."""

from datetime import UTC, datetime

from rich.cells import cell_len, set_cell_size
from rich.text import Text

_WRAP = 3


def words_of(name: str) -> str:
    """Return `a_name` as `a name`."""
    return str(name).replace("_", " ")


def clock_of(unix: float) -> str:
    """Return the time of day of unix seconds, UTC."""
    return datetime.fromtimestamp(unix, UTC).strftime("%H:%M:%S")


def fitted(text: str, width: int) -> str:
    """Return `text` in exactly `width` cells, with an ellipsis where it was longer."""
    if cell_len(text) > width:
        return set_cell_size(text, max(0, width - 1)) + "…"
    return set_cell_size(text, width)


def cut(text: Text, width: int, keep: int = 0) -> Text:
    """Return `text` in at most `width` cells; of a longer one the last `keep` cells stay."""
    if cell_len(text.plain) <= width:
        return text
    if not keep or keep >= width // 2:
        text.truncate(width, overflow="ellipsis")
        return text
    tail = text[-keep:]
    head = text[:-keep]
    head.truncate(width - keep, overflow="ellipsis")
    return head.append_text(tail)


def at_the_right(text: Text, end: str, width: int) -> None:
    """Append `end` so that it ends in the last column, where it fits."""
    gap = width - cell_len(text.plain) - cell_len(end)
    if gap > 0:
        text.append(" " * gap).append(end, style="dim")


def wrapped(label: str, said: str, width: int, style: str) -> list[Text]:
    """Return `said` behind a label, broken at blanks over at most three lines."""
    rows: list[str] = [""]
    for word in said.split():
        if rows[-1] and cell_len(f"{rows[-1]} {word}") > width - len(label):
            rows.append("")
        rows[-1] = f"{rows[-1]} {word}".strip()
    if len(rows) > _WRAP:
        rows = [*rows[: _WRAP - 1], f"{rows[_WRAP - 1]} …"]
    indent = " " * len(label)
    return [
        Text(label if number == 0 else indent, style="dim").append(row, style=style or "default")
        for number, row in enumerate(rows)
    ]
