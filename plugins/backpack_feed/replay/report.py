"""What a replay prints, for people or for machines, and what of it is not as the file expects."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from itertools import zip_longest
from typing import Any, TextIO

import msgspec

from backpack_feed.refusal import Refusal

SHOWN_CHARACTERS = 160


class FormatError(Refusal, ValueError):
    """A file that cannot be replayed or signed; names the place and the remedy."""


@dataclass(frozen=True)
class Mismatch:
    """A value that differs from the file's expectation; `place` names the scenario."""

    place: str
    field: str
    expected: object
    actual: object

    def __str__(self) -> str:
        return (
            f"{self.place}: {self.field} should be {_shown(self.expected)},"
            f" is {_shown(self.actual)}"
        )


@dataclass(frozen=True)
class Line:
    """One result: `text` for a terminal, `record` for machines, and its mismatches."""

    text: str
    record: dict[str, Any]
    mismatches: tuple[Mismatch, ...] = field(default=())


def compare(place: str, name: str, expected: object, actual: object) -> tuple[Mismatch, ...]:
    """Compare by value, since the venue pads decimals and writes ids as numbers or as text.

    Keys that only `actual` has do not count; lists must have the same length.
    """
    return tuple(_differences(place, name, expected, actual))


def _differences(place: str, name: str, expected: object, actual: object) -> Iterator[Mismatch]:
    if isinstance(expected, Mapping) and isinstance(actual, Mapping):
        for key, value in expected.items():
            inner = f"{name}.{key}" if name else str(key)
            if key in actual:
                yield from _differences(place, inner, value, actual[key])
            else:
                yield Mismatch(place, inner, value, "absent")
    elif isinstance(expected, list | tuple) and isinstance(actual, list | tuple):
        for index, (one, other) in enumerate(zip_longest(expected, actual, fillvalue="absent")):
            yield from _differences(place, f"{name}[{index}]", one, other)
    elif not same_value(expected, actual):
        yield Mismatch(place, name, expected, actual)


def same_value(one: object, other: object) -> bool:
    """Whether two scalars mean the same: `"98.40"` is 98.4; null and booleans only themselves."""
    numbers = _number(one), _number(other)
    if None in numbers:
        return one == other and isinstance(one, bool) == isinstance(other, bool)
    return numbers[0] == numbers[1]


def _number(value: object) -> Decimal | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str | Decimal):
        return None
    try:
        number = Decimal(str(value))
    except InvalidOperation:
        return None
    return number if number.is_finite() else None


def _shown(value: object) -> str:
    if isinstance(value, str):
        return value[:SHOWN_CHARACTERS] or "empty"
    return msgspec.json.encode(plain(value)).decode()[:SHOWN_CHARACTERS]


def plain(value: Any) -> Any:
    """Return `value` for JSON: decimals as text without an exponent, tuples as lists."""
    if isinstance(value, Decimal):
        return format(value, "f") if value.is_finite() else str(value)
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value


def table(*columns: tuple[object, int]) -> str:
    """Lay out (value, width) pairs in aligned columns."""
    return "  ".join(f"{value!s:<{width}}" for value, width in columns).rstrip()


def print_report(lines: Iterable[Line], out: TextIO, *, as_json: bool) -> int:
    """Print every line as it comes; return the number of mismatches."""
    mismatches = 0
    for line in lines:
        mismatches += len(line.mismatches)
        if as_json:
            out.write(_json(line) + "\n")
            continue
        out.write(line.text + "\n")
        out.writelines(f"  ✗ {mismatch}\n" for mismatch in line.mismatches)
    if not as_json:
        out.write(f"{mismatches or 'no'} mismatch{'es' if mismatches != 1 else ''}\n")
    return mismatches


def _json(line: Line) -> str:
    record = dict(line.record)
    if line.mismatches:
        record["mismatches"] = [
            {"place": m.place, "field": m.field, "expected": m.expected, "actual": m.actual}
            for m in line.mismatches
        ]
    return msgspec.json.encode(plain(record)).decode()
