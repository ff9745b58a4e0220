"""Frozen structs of the wire payloads (protocol sections 4 to 8), with readable names.

Prices and quantities are `Decimal`, engine and event times are microseconds. Unknown fields are
ignored and the key order does not matter: the venue adds fields without notice.
"""

from decimal import Decimal
from typing import Any

import msgspec

type Level = tuple[Decimal, Decimal]
"""Price and absolute quantity; quantity zero deletes the level."""


class TradeMessage(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """`trade.<symbol>`: `{"T":…,"m":false,"p":"98.97","q":"1.00","s":"SOL_USDC","t":100}`.

    `trade_id` is null or 0 on trades outside the sequence. `buyer_is_maker` means the taker sold.
    """

    symbol: str = msgspec.field(name="s")
    trade_id: int | None = msgspec.field(name="t")
    price: Decimal = msgspec.field(name="p")
    quantity: Decimal = msgspec.field(name="q")
    buyer_is_maker: bool = msgspec.field(name="m")
    engine_time_us: int = msgspec.field(name="T")


class DepthMessage(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """`depth.<symbol>`: `{"U":995,"u":995,"a":[["98.97","21.37"]],"b":[],"s":"SOL_USDC",…}`.

    Levels are absolute and in no promised order; a frame without levels still uses its ids.
    """

    symbol: str = msgspec.field(name="s")
    first_id: int = msgspec.field(name="U")
    last_id: int = msgspec.field(name="u")
    bids: tuple[Level, ...] = msgspec.field(name="b")
    asks: tuple[Level, ...] = msgspec.field(name="a")
    engine_time_us: int = msgspec.field(name="T")


class OrderMessage(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """`account.orderUpdate`: one order event. `t` is present and null unless the order filled.

    Enumerations stay strings: the venue adds values without notice.
    """

    event: str = msgspec.field(name="e")
    symbol: str = msgspec.field(name="s")
    order_id: str | int = msgspec.field(name="i")
    side: str = msgspec.field(name="S")
    order_type: str = msgspec.field(name="o")
    state: str = msgspec.field(name="X")
    engine_time_us: int = msgspec.field(name="T")
    client_id: int | None = msgspec.field(name="c", default=None)
    price: Decimal | None = msgspec.field(name="p", default=None)
    quantity: Decimal | None = msgspec.field(name="q", default=None)
    executed_quantity: Decimal | None = msgspec.field(name="z", default=None)
    fill_id: int | None = msgspec.field(name="t", default=None)
    fill_price: Decimal | None = msgspec.field(name="L", default=None)
    fill_quantity: Decimal | None = msgspec.field(name="l", default=None)
    fill_is_maker: bool | None = msgspec.field(name="m", default=None)
    fee: Decimal | None = msgspec.field(name="n", default=None)
    fee_symbol: str | None = msgspec.field(name="N", default=None)
    expiry_reason: str | None = msgspec.field(name="R", default=None)
    origin: str | None = msgspec.field(name="O", default=None)


class ErrorMessage(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """`{"id":null,"error":{"code":4003,"message":"Invalid signature"}}`: names no stream."""

    code: int = 0
    message: str = ""


class UnknownMessage(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """A well formed frame of a stream that this feed does not read."""

    stream: str


type Message = TradeMessage | DepthMessage | OrderMessage | ErrorMessage | UnknownMessage


class DepthSnapshot(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """`GET /depth`. Both sides ascend by price, so the best bid is the last one."""

    last_update_id: int = msgspec.field(name="lastUpdateId")
    bids: tuple[Level, ...]
    asks: tuple[Level, ...]
    timestamp_us: int = msgspec.field(name="timestamp", default=0)


class RestTrade(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """One row of `GET /trades`; the time is in milliseconds."""

    price: Decimal
    quantity: Decimal
    buyer_is_maker: bool = msgspec.field(name="isBuyerMaker")
    timestamp_ms: int = msgspec.field(name="timestamp")
    trade_id: int | None = msgspec.field(name="id", default=None)


class MarketRow(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """The part of a `GET /markets` row that names and bounds a market."""

    symbol: str
    base: str = msgspec.field(name="baseSymbol")
    quote: str = msgspec.field(name="quoteSymbol")
    market_type: str = msgspec.field(name="marketType")
    state: str = msgspec.field(name="orderBookState", default="Open")
    visible: bool = True
    filters: dict[str, Any] = {}
