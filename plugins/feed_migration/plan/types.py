"""The types of a plan's values: durations, queries, counts, names; each says what it wants."""

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from feed_migration.model import Approver
from feed_migration.prometheus.promql import checked_query

_DURATION = re.compile(r"([0-9]+(?:\.[0-9]+)?)(s|m|h)")
_UNIT_SECONDS = {"s": 1.0, "m": 60.0, "h": 3600.0}
LONGEST_SECONDS = 366 * 24 * 3600.0
# Prometheus counts in milliseconds, and nobody can be asked a million times a second.
_SHORTEST_SECONDS = 0.1


def seconds_of(text: object) -> float:
    """Seconds of a duration such as `15s`, `30m`, `24h`; raises ValueError on anything else."""
    found = _DURATION.fullmatch(text) if isinstance(text, str) else None
    if not found:
        raise ValueError(f"was {text!r}, a duration is written 15s, 30m or 24h")
    seconds = float(found[1]) * _UNIT_SECONDS[found[2]]
    if seconds > LONGEST_SECONDS:
        raise ValueError("longer than a year")
    return seconds


def _positive(seconds: float) -> float:
    if seconds <= 0:
        raise ValueError("must be longer than 0s")
    if seconds < _SHORTEST_SECONDS:
        raise ValueError(f"must be at least {_SHORTEST_SECONDS:g}s")
    return seconds


def _promql(text: str) -> str:
    try:
        return checked_query(text)
    except ValueError as error:
        raise ValueError(f"no query: {' '.join(str(error).split())}") from error


def series_count(value: object) -> int | Literal["fleet"]:
    """A number of series from 1, or `fleet`; raises ValueError on anything else."""
    if value == "fleet":
        return "fleet"
    if isinstance(value, int) and not isinstance(value, bool) and value >= 1:
        return value
    raise ValueError(f"was {value!r}, it is a number of series from 1, or fleet")


def approvers_of(values: list[Any]) -> list[Approver]:
    """Who may approve; raises ValueError on an entry that names nobody."""
    return [_approver(value) for value in values]


def _approver(value: object) -> Approver:
    """A user name, or `{id, name}` where the id is not the name; raises ValueError otherwise."""
    if isinstance(value, str) and value.strip():
        return Approver(id=value, name=value)
    if isinstance(value, dict) and set(value) == {"id", "name"}:
        found = (value["id"], value["name"])
        if all(isinstance(text, str) and text.strip() for text in found):
            return Approver(id=found[0], name=found[1])
    raise ValueError(f"was {value!r}, an approver is a user name, or {{id: '7', name: ann}}")


Duration = Annotated[float, BeforeValidator(seconds_of)]
PositiveDuration = Annotated[Duration, AfterValidator(_positive)]
Number = Annotated[float, Field(allow_inf_nan=False)]
Count = Annotated[int, Field(ge=0)]
Query = Annotated[str, Field(min_length=1, max_length=10_000), AfterValidator(_promql)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,99}$")]


class Spec(BaseModel):
    """A mapping of the file: unknown keys and convenient conversions are refused."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)
