"""The query parser: what it takes, and its refusals in plain text.

The venue's own words were recorded for one case only, a bad `limit` of `/depth`. They are those of
poem-openapi, the framework behind it; the other refusals here are built by its rules.
"""

import re
from collections.abc import Collection, Mapping
from typing import Final

UINT16: Final = "uint16"
UINT64: Final = "uint64"
INT64: Final = "int64"
_BOUNDS: Final = {
    UINT16: (0, 2**16 - 1),
    UINT64: (0, 2**64 - 1),
    INT64: (-(2**63), 2**63 - 1),
}
_INTEGER: Final = re.compile(r"[+-]?[0-9]+\Z")
_DECIMAL: Final = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)\Z")
_DECIMAL_DIGITS_MAX: Final = 40

ENUMERATION_REASON: Final = "Expect a valid enumeration value."

type Query = Mapping[str, str]


class ParameterError(Exception):
    """A parameter that the parser refuses; the edge answers it with a plain text 400."""

    def __init__(self, parameter: str, reason: str) -> None:
        super().__init__(f"{parameter}: {reason}")
        self.parameter = parameter
        self.reason = reason


def text(query: Query, name: str) -> str:
    """A text that must be there; it may be empty."""
    found = query.get(name)
    if found is None:
        raise ParameterError(name, 'Type "string" expects an input value.')
    return found


def choice(
    query: Query, name: str, type_name: str, choices: Collection[str], *, default: str | None = None
) -> str:
    """One of `choices`; without a `default` it must be given."""
    found = query.get(name, default)
    if found is None:
        raise ParameterError(name, f'Type "{type_name}" expects an input value.')
    if found not in choices:
        raise ParameterError(name, f'failed to parse "{type_name}": {ENUMERATION_REASON}')
    return found


def optional_choice(
    query: Query, name: str, type_name: str, choices: Collection[str]
) -> str | None:
    """One of `choices`, or None when the parameter is not there."""
    return choice(query, name, type_name, choices) if name in query else None


def integer(
    query: Query,
    name: str,
    format_name: str,
    *,
    default: int | None = None,
    minimum: int | None = None,
    maximum: int | None = None,
) -> int:
    """A whole number within its type and its own bounds; without a `default` it must be given."""
    found = query.get(name)
    if found is None:
        if default is None:
            raise ParameterError(name, f'Type "integer_{format_name}" expects an input value.')
        return default
    value = _parsed(found, name, format_name)
    if minimum is not None and value < minimum:
        raise ParameterError(name, f"verification failed. minimum({minimum}, exclusive: false)")
    if maximum is not None and value > maximum:
        raise ParameterError(name, f"verification failed. maximum({maximum}, exclusive: false)")
    return value


def positive_decimal(query: Query, name: str) -> str:
    """A plain decimal above zero, as it was written."""
    found = text(query, name)
    if not _DECIMAL.match(found) or len(found) > _DECIMAL_DIGITS_MAX:
        raise ParameterError(name, 'failed to parse "string_decimal": Invalid decimal')
    if found.startswith("-") or not found.strip("+0."):
        raise ParameterError(name, "verification failed. minimum(0, exclusive: true)")
    return found


def _parsed(found: str, name: str, format_name: str) -> int:
    low, high = _BOUNDS[format_name]
    reason = None
    if not found:
        reason = "cannot parse integer from empty string"
    elif not _INTEGER.match(found) or (found.startswith("-") and low == 0):
        reason = "invalid digit found in string"
    elif len(found.lstrip("+-0")) > len(str(high)) or not low <= int(found) <= high:
        size = "small" if found.startswith("-") else "large"
        reason = f"number too {size} to fit in target type"
    if reason:
        raise ParameterError(name, f'failed to parse "integer_{format_name}": {reason}')
    return int(found)
