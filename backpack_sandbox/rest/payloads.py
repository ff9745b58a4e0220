"""The payload parser: JSON bodies into typed values, refused in the venue's own plain text.

The texts are those recorded from the venue; where no body was recorded they follow the same
framework's wording for a wrong type, a missing field, a bad enumeration value and a broken
document.
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Any, Final

PAYLOAD_ERROR: Final = "Bad Request parse request payload error: "
UINT32_MAX: Final = 2**32 - 1
DECIMAL_DIGITS_MAX: Final = 28
DEPTH_MAX: Final = 128
TOO_DEEP: Final = "recursion limit exceeded at line 1 column 128"
_DECIMAL: Final = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)\Z", re.ASCII)
_INTEGER: Final = re.compile(r"-?\d{1,20}\Z", re.ASCII)


class ParseError(Exception):
    """What the parser says of a value; `str()` is the reason without a prefix."""


class JsonNumber(str):
    """A number as it was written: its text is what was signed."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class WireType:
    """A named type of the venue's schema. `read` raises ParseError."""

    name: str
    read: Callable[[Any], Any]


@dataclass(frozen=True, slots=True)
class WireObject:
    """A named object: its fields in order, and which of them must be there."""

    name: str
    fields: Mapping[str, WireType]
    required: frozenset[str]

    def parse(self, value: Any) -> dict[str, Any]:
        """Every field of the table, None where it is left out or null; others are ignored."""
        if not isinstance(value, dict):
            raise _wrong_type(self.name, value)
        parsed: dict[str, Any] = {}
        for name, kind in self.fields.items():
            given = value.get(name)
            try:
                parsed[name] = kind.read(given) if self._present(name, given) else None
            except ParseError as error:
                raise ParseError(f'{error} (occurred while parsing "{self.name}")') from None
        return parsed

    def parse_list(self, value: Any) -> list[dict[str, Any]]:
        """As `parse`, for each item of an array."""
        name = f"[{self.name}]"
        if not isinstance(value, list):
            raise _wrong_type(name, value)
        try:
            return [self.parse(item) for item in value]
        except ParseError as error:
            raise ParseError(f'{error} (occurred while parsing "{name}")') from None

    def _present(self, name: str, given: Any) -> bool:
        return given is not None or name in self.required


def read_json(body: bytes) -> Any:
    """The document, its numbers as JsonNumber; no body at all is null."""
    if not body:
        return None
    try:
        document = json.loads(
            body.decode(),
            parse_int=JsonNumber,
            parse_float=JsonNumber,
            parse_constant=_refuse_constant,
        )
    except json.JSONDecodeError as error:
        ended = error.pos >= len(error.doc)
        problem = "EOF while parsing a value" if ended else "expected value"
        raise ParseError(f"{problem} at line {error.lineno} column {error.colno}") from None
    except UnicodeDecodeError as error:
        raise ParseError(f"invalid unicode code point at line 1 column {error.start}") from None
    except RecursionError:
        raise ParseError(TOO_DEEP) from None
    _check_sound(document)
    return document


def signed_text(value: Any) -> str:
    """A value as the client must have signed it: text bare, the rest as it stands in JSON."""
    if isinstance(value, str):
        return str(value)
    return _json_text(value)


def text() -> WireType:
    """Any string."""

    def read(value: Any) -> str:
        if not isinstance(value, str) or isinstance(value, JsonNumber):
            raise _wrong_type("string", value)
        return value

    return WireType("string", read)


def boolean() -> WireType:
    """True or false, nothing that looks like them."""

    def read(value: Any) -> bool:
        if not isinstance(value, bool):
            raise _wrong_type("boolean", value)
        return value

    return WireType("boolean", read)


def uint32() -> WireType:
    """A whole number, or its digits in a string: bpx-py sends client ids so."""
    name = "integer_uint32"

    def read(value: Any) -> int:
        if not isinstance(value, str):
            raise _wrong_type(name, value)
        if not _INTEGER.match(value):
            raise _failed(name, "invalid integer")
        if not 0 <= int(value) <= UINT32_MAX:
            raise _failed(name, f"Only integers from 0 to {UINT32_MAX} are accepted.")
        return int(value)

    return WireType(name, read)


def decimal() -> WireType:
    """A decimal in a string or a number: plain digits, at most 28, no exponent."""
    name = "string(decimal)"

    def read(value: Any) -> Decimal:
        if not isinstance(value, str):
            raise _wrong_type(name, value)
        if not value:
            raise _failed(name, "Invalid decimal: empty")
        if not _DECIMAL.match(value):
            raise _failed(name, "Invalid decimal: unknown character")
        if sum(c.isdigit() for c in value) > DECIMAL_DIGITS_MAX:
            raise _failed(name, "Invalid decimal: overflow from too many digits")
        return Decimal(value)

    return WireType(name, read)


def enumeration[E: StrEnum](name: str, values: type[E]) -> WireType:
    """One of the values, in exactly its letters."""

    def read(value: Any) -> E:
        if not isinstance(value, str) or isinstance(value, JsonNumber):
            raise _wrong_type(name, value)
        try:
            return values(value)
        except ValueError:
            raise _failed(name, "Expect a valid enumeration value.") from None

    return WireType(name, read)


def market_symbol(known: Mapping[str, Any]) -> WireType:
    """A symbol of the catalogue, open or not."""
    name = "MarketSymbol"

    def read(value: Any) -> str:
        if not isinstance(value, str) or isinstance(value, JsonNumber):
            raise _wrong_type(name, value)
        if value not in known:
            raise _failed(name, "Invalid market symbol")
        return value

    return WireType(name, read)


def _failed(name: str, reason: str) -> ParseError:
    return ParseError(f'failed to parse "{name}": {reason}')


def _wrong_type(name: str, value: Any) -> ParseError:
    return ParseError(f'Expected input type "{name}", found {_json_text(value)}.')


def _json_text(value: Any) -> str:
    """Compact JSON with numbers as they were written."""
    if isinstance(value, JsonNumber):
        return str(value)
    if isinstance(value, list):
        return f"[{','.join(map(_json_text, value))}]"
    if isinstance(value, dict):
        pairs = (f"{_json_text(key)}:{_json_text(item)}" for key, item in value.items())
        return f"{{{','.join(pairs)}}}"
    return json.dumps(value, ensure_ascii=False)


def _check_sound(document: Any) -> None:
    """Not nested too deep for the recursive readers, and every string has bytes."""
    level, depth = [document], 0
    while level:
        depth += 1
        if depth > DEPTH_MAX:
            raise ParseError(TOO_DEEP)
        deeper: list[Any] = []
        for value in level:
            if isinstance(value, dict):
                deeper += [*value, *value.values()]
            elif isinstance(value, list):
                deeper += value
            elif isinstance(value, str) and not value.isascii():
                _check_text(value)
        level = deeper


def _check_text(value: str) -> None:
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ParseError("lone surrogate in hex escape at line 1 column 1") from None


def _refuse_constant(_name: str) -> Any:
    """NaN and Infinity are Python's, not JSON's."""
    raise ParseError("expected value at line 1 column 1")
