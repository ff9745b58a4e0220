"""What signed queries have in common: kinds of market, open orders' numbers, pages of history."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from multidict import MultiMapping

from backpack_sandbox.rest import answers
from backpack_sandbox.rest.parameters import (
    ENUMERATION_REASON,
    INT64,
    UINT64,
    ParameterError,
    integer,
    text,
)

PAGE_LIMIT_DEFAULT: Final = 100
PAGE_LIMIT_MAX: Final = 1000
ORDER_ID_DIGITS_MAX: Final = 19

type Query = MultiMapping[str]


class MarketType(StrEnum):
    """The kinds of market that the venue lists."""

    SPOT = "SPOT"
    PERP = "PERP"
    IPERP = "IPERP"
    DATED = "DATED"
    PREDICTION = "PREDICTION"
    RFQ = "RFQ"


class SortDirection(StrEnum):
    """Which row of a history comes first."""

    ASC = "Asc"
    DESC = "Desc"


def optional_text(query: Query, name: str) -> str | None:
    """A text that may be left out."""
    return text(query, name) if name in query else None


def optional_number(
    query: Query, name: str, format_name: str = INT64, maximum: int | None = None
) -> int | None:
    """A whole number that may be left out."""
    if name not in query:
        return None
    return integer(query, name, format_name, minimum=0, maximum=maximum)


def order_number(order_id: str) -> int | None:
    """The venue's own id in a text; None when it is none of them."""
    digits = order_id.isascii() and order_id.isdigit() and len(order_id) <= ORDER_ID_DIGITS_MAX
    return int(order_id) if digits else None


def flag(query: Query, name: str) -> bool | None:
    """`true` or `false`, None when left out."""
    given = query.get(name)
    if given not in {None, "true", "false"}:
        problem = "provided string was not `true` or `false`"
        raise ParameterError(name, f'failed to parse "boolean": {problem}')
    return None if given is None else given == "true"


def choices[E: StrEnum](query: Query, name: str, schema: str, values: type[E]) -> list[E]:
    """The values of a parameter that may repeat; `schema` is named in the refusal."""
    try:
        return [values(value) for value in query.getall(name, [])]
    except ValueError:
        raise ParameterError(name, f'failed to parse "{schema}": {ENUMERATION_REASON}') from None


def choice[E: StrEnum](query: Query, name: str, schema: str, values: type[E]) -> E | None:
    """As `choices`, the first of them; None when left out."""
    return next(iter(choices(query, name, schema, values)), None)


def market_types(query: Query) -> list[MarketType]:
    """`marketType`, which may repeat; empty means every one."""
    return choices(query, "marketType", "MarketType", MarketType)


@dataclass(frozen=True, slots=True)
class Page:
    """Which rows of a history are asked for; `offset` counts rows from the first of the order."""

    limit: int
    offset: int
    newest_first: bool

    @classmethod
    def of(cls, query: Query) -> "Page":
        """`limit`, `offset` and `sortDirection`."""
        direction = choice(query, "sortDirection", "SortDirection", SortDirection)
        return cls(
            limit=integer(
                query,
                "limit",
                UINT64,
                default=PAGE_LIMIT_DEFAULT,
                minimum=1,
                maximum=PAGE_LIMIT_MAX,
            ),
            offset=integer(query, "offset", UINT64, default=0),
            newest_first=direction is not SortDirection.ASC,
        )

    def cut[T](self, newest_first: Sequence[T]) -> list[T]:
        """The page's rows of all of them, given the newest first."""
        ordered = newest_first if self.newest_first else newest_first[::-1]
        return list(ordered[self.offset : self.offset + self.limit])

    def headers(self, total: int) -> dict[str, str]:
        """What the venue says about the pages."""
        return answers.paging_headers(total, self.limit, self.offset)
