"""`{"streams": {…}}`: the payload schema per stream, against the structs that read it.

A struct may read fewer keys than the venue sends. Every key that it reads must exist with a type
that it accepts, may be null where the venue sends null, and is required only if always sent.
"""

from collections.abc import Iterator
from typing import Any, Final

import msgspec
from msgspec import inspect

from backpack_feed.constants import (
    BALANCE_UPDATE,
    BOOK_TICKER,
    DEPTH,
    KLINE,
    LIQUIDATION,
    MARK_PRICE,
    OPEN_INTEREST_STREAM,
    ORDER_UPDATE,
    POSITION_UPDATE,
    TICKER_STREAM,
    TRADE,
)
from backpack_feed.replay.report import Line, Mismatch, table
from backpack_feed.wire.account_messages import BalanceMessage, OrderMessage, PositionMessage
from backpack_feed.wire.messages import (
    BookTickerMessage,
    DepthMessage,
    KlineMessage,
    LiquidationMessage,
    MarkPriceMessage,
    OpenInterestMessage,
    TickerMessage,
    TradeMessage,
)

STRUCTS: Final[dict[str, type[msgspec.Struct]]] = {
    DEPTH: DepthMessage,
    TRADE: TradeMessage,
    BOOK_TICKER: BookTickerMessage,
    TICKER_STREAM: TickerMessage,
    KLINE: KlineMessage,
    MARK_PRICE: MarkPriceMessage,
    OPEN_INTEREST_STREAM: OpenInterestMessage,
    LIQUIDATION: LiquidationMessage,
    ORDER_UPDATE: OrderMessage,
    POSITION_UPDATE: PositionMessage,
    BALANCE_UPDATE: BalanceMessage,
}
_ACCEPTED: Final[dict[str, tuple[type[inspect.Type], ...]]] = {
    "int": (inspect.IntType, inspect.DecimalType, inspect.FloatType),
    "string": (inspect.StrType, inspect.DecimalType, inspect.DateTimeType),
    "bool": (inspect.BoolType,),
    "array": (inspect.VarTupleType, inspect.ListType),
    "object": (inspect.StructType, inspect.DictType),
}


class Field(msgspec.Struct):
    """One key of a payload; `json_type` may carry a remark: `string Bid|Ask`, `array<…>`."""

    key: str
    json_type: str
    unit: str = ""
    optional: bool = False
    nullable: bool = False
    meaning: str = ""


class Stream(msgspec.Struct):
    """The payload of the streams of one name."""

    fields: list[Field]
    streams: list[str] = []


class SchemaFile(msgspec.Struct):
    """The whole file."""

    streams: dict[str, Stream]


def replay(file: SchemaFile) -> Iterator[Line]:
    """Print the schema and compare it with the structs."""
    for name, stream in file.streams.items():
        struct = STRUCTS.get(name)
        reads = _fields_read(struct) if struct is not None else {}
        read_by = struct.__name__ if struct is not None else None
        yield Line(
            table((name, 30), (read_by or "not read", 0)), {"stream": name, "read_by": read_by}
        )
        for field in stream.fields:
            yield _line(name, field, reads.pop(field.key, None))
        for key in reads:
            missing = Mismatch(f"stream {name}", f"key {key}", "in the schema", "absent")
            text = table(("", 4), (key, 6), (f"read by {read_by}, not in the schema", 0))
            yield Line(text, {"stream": name, "key": key}, (missing,))


def _line(stream: str, field: Field, reads: inspect.Field | None) -> Line:
    remarks = [word for word in ("optional", "nullable") if getattr(field, word)]
    text = table(
        ("", 2),
        ("*" if reads is not None else " ", 1),
        (field.key, 6),
        (field.json_type, 24),
        (field.unit, 18),
        (" ".join(remarks), 18),
        (reads.name if reads is not None else "", 26),
        (field.meaning, 0),
    )
    record: dict[str, Any] = {"stream": stream} | msgspec.structs.asdict(field)
    record["read_as"] = reads.name if reads is not None else None
    return Line(text, record, tuple(_wrong(stream, field, reads)) if reads is not None else ())


def _wrong(stream: str, field: Field, reads: inspect.Field) -> Iterator[Mismatch]:
    place = f"stream {stream}"
    types = _alternatives(reads.type)
    json_type = field.json_type.partition(" ")[0].partition("<")[0]
    accepted = _ACCEPTED.get(json_type, ())
    if not any(isinstance(kind, accepted) for kind in types):
        ours = " or ".join(type(kind).__name__.removesuffix("Type") for kind in types)
        yield Mismatch(place, f"type of {field.key}", field.json_type, ours)
    takes_null = any(isinstance(kind, inspect.NoneType) for kind in types)
    if field.nullable and not takes_null:
        yield Mismatch(place, f"nullable of {field.key}", field.nullable, takes_null)
    if field.optional and reads.required:
        yield Mismatch(place, f"optional of {field.key}", field.optional, not reads.required)


def _alternatives(kind: inspect.Type) -> tuple[inspect.Type, ...]:
    return tuple(kind.types) if isinstance(kind, inspect.UnionType) else (kind,)


def _fields_read(struct: type[msgspec.Struct]) -> dict[str, inspect.Field]:
    info = inspect.type_info(struct)
    if not isinstance(info, inspect.StructType):
        return {}
    fields = {field.encode_name: field for field in info.fields}
    if info.tag_field is not None:
        tag = inspect.Field(info.tag_field, info.tag_field, inspect.StrType())
        fields.setdefault(info.tag_field, tag)
    return fields
