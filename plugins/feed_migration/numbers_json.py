"""Floats in strict JSON, which has no NaN and no infinity, and as Prometheus writes them. Pure."""

import re

_WRITTEN = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?(?:e[+-]?[0-9]+)?|Inf)|NaN", re.IGNORECASE)


def number_from_text(text: str) -> float:
    """The number that Prometheus wrote; raises ValueError on what it never writes."""
    if not (text.isascii() and _WRITTEN.fullmatch(text)):
        raise ValueError(f"not a number of Prometheus: {text[:60]!r}")
    return float(text)


def number_to_json(value: float | None) -> float | str | None:
    """Strict JSON has no NaN and no infinity, so these become Prometheus's strings."""
    if value is None or abs(value) < float("inf"):
        return value
    return "NaN" if value != value else f"{value:+}".replace("inf", "Inf")  # noqa: PLR0124


def number_from_json(value: float | str | None) -> float | None:
    """The inverse of `number_to_json`; raises ValueError on other strings."""
    return None if value is None else float(value)
