"""Shapes of JSON learned from recorded answers, to hold live ones against."""

import re
from collections.abc import Iterable, Iterator
from typing import Any

DECIMAL = re.compile(r"-?\d+(\.\d+)?\Z")
NORMALISED = re.compile(r"-?(0|[1-9]\d*)(\.\d*[1-9])?\Z")
SPACED_TIME = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\Z")
NAIVE_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?\Z")
TEXTS = {"decimal": DECIMAL, "spaced time": SPACED_TIME, "naive time": NAIVE_TIME}
SCALARS = {bool: "bool", int: "int", float: "float", type(None): "null"}


def kind(value: Any) -> str:
    """The JSON type, and of a text whether it is a decimal, one of the two times, or neither."""
    if isinstance(value, str):
        return next((name for name, form in TEXTS.items() if form.match(value)), "text")
    return SCALARS.get(type(value)) or type(value).__name__


class Shape:
    """What was seen at one place: its kinds, and the shapes of its members.

    Rows of a list are taken together, so that a null in any of them makes the place nullable.
    """

    def __init__(self, samples: Iterable[Any]) -> None:
        seen = list(samples)
        self.kinds = {kind(value) for value in seen}
        rows = [row for value in seen if isinstance(value, list) for row in value]
        self.rows = Shape(rows) if rows else None
        objects = [value for value in seen if isinstance(value, dict)]
        names = {name for value in objects for name in value}
        self.members = {n: Shape(o[n] for o in objects if n in o) for n in names}
        self.required = {n for n in names if all(n in value for value in objects)}

    def faults(self, value: Any, place: str = "$") -> Iterator[str]:
        """Where `value` is of no recorded kind, lacks a member, or has one too many."""
        if kind(value) not in self.kinds:
            yield f"{place}: {kind(value)} {value!r:.60}, recorded {sorted(self.kinds)}"
        elif isinstance(value, list) and self.rows:
            for i, row in enumerate(value):
                yield from self.rows.faults(row, f"{place}[{i}]")
        elif isinstance(value, dict):
            yield from self._member_faults(value, place)

    def _member_faults(self, value: dict[str, Any], place: str) -> Iterator[str]:
        yield from (f"{place}.{n}: missing" for n in sorted(self.required - value.keys()))
        yield from (f"{place}.{n}: never recorded" for n in sorted(value.keys() - self.members))
        for name, member in value.items():
            if name in self.members:
                yield from self.members[name].faults(member, f"{place}.{name}")


def decimals_not_normalised(value: Any) -> list[str]:
    """Decimal texts with zeros at the end, which REST does not write."""
    if isinstance(value, dict):
        return [text for member in value.values() for text in decimals_not_normalised(member)]
    if isinstance(value, list):
        return [text for member in value for text in decimals_not_normalised(member)]
    is_decimal = isinstance(value, str) and DECIMAL.match(value)
    return [value] if is_decimal and not NORMALISED.match(value) else []
