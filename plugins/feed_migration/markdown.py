"""Markdown that foreign text cannot break out of. Pure."""

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any


def table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a table; every cell is escaped."""
    lines = ["| " + " | ".join(header) + " |", "|" + " --- |" * len(header)]
    lines += ["| " + " | ".join(cell(value) for value in row) + " |" for row in rows]
    return "\n".join(lines)


def cell(value: object) -> str:
    """Return `value` on one line that ends no cell and starts no markup."""
    text = " ".join(str("" if value is None else value).split())
    return re.sub(r"([\\|<>*_`\[\]])", r"\\\1", text)


def code(value: object) -> str:
    """Return `value` as inline code for a list item (not for a table)."""
    text = " ".join(str(value).split())
    fence = "`" * (1 + max((len(run) for run in re.findall(r"`+", text)), default=0))
    return f"{fence} {text} {fence}" if "`" in text else f"`{text}`"


def code_block(lines: Iterable[str], language: str = "text") -> str:
    """Return a fenced block whose fence is longer than any inside."""
    body = "\n".join(lines)
    fence = "`" * max(3, 1 + max((len(run) for run in re.findall(r"`+", body)), default=0))
    return f"{fence}{language}\n{body}\n{fence}"


def utc(at: float | None) -> str:
    """Return unix seconds as `2026-10-02 10:15:30 UTC`, a dash for None."""
    if at is None:
        return "–"
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def number(value: object) -> str:
    """Return a measured value in few digits; other things as they are."""
    return (
        f"{value:.6g}" if isinstance(value, int | float) else str("–" if value is None else value)
    )


def labels(series: object) -> str:
    """Return Prometheus labels as `instance_id=feed-00, symbol=SOL-USDC`."""
    if isinstance(series, Mapping):
        pairs: Iterable[Any] = series.items()
    elif isinstance(series, Sequence) and not isinstance(series, str):
        pairs = series
    else:
        return ""
    return ", ".join(f"{name}={value}" for name, value in pairs)
