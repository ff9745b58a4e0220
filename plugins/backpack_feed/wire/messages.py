"""Structs of the market data payloads (protocol sections 4 to 6), with readable names.

Prices and quantities are `Decimal`, engine and event times are microseconds. Unknown fields are
ignored and the key order does not matter: the venue adds fields without notice. The `e` of a
payload is the tag of its struct.
"""

from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec

from backpack_feed.wire.account_messages import AccountMessage, BalanceMessage
from backpack_feed.wire.bounds import Levels, UnsignedId


class DepthMessage(msgspec.Struct, gc=False, kw_only=True, tag_field="e", tag="depth"):
    """`depth.<symbol>`: `{"U":995,"u":995,"a":[["98.97","21.37"]],"b":[],"s":"SOL_USDC",…}`.

    Levels are absolute and in no promised order; a frame without levels still uses its ids.
    """

    symbol: str = msgspec.field(name="s")
    first_id: UnsignedId = msgspec.field(name="U")
    last_id: UnsignedId = msgspec.field(name="u")
    bids: Levels = msgspec.field(name="b")
    asks: Levels = msgspec.field(name="a")
    engine_time_us: UnsignedId = msgspec.field(name="T")


class TradeMessage(msgspec.Struct, gc=False, kw_only=True, tag_field="e", tag="trade"):
    """`trade.<symbol>`: `{"T":…,"m":false,"p":"98.97","q":"1.00","s":"SOL_USDC","t":100}`.

    `trade_id` is null or 0 on trades outside the sequence. `buyer_is_maker` means the taker sold.
    """

    symbol: str = msgspec.field(name="s")
    trade_id: UnsignedId | None = msgspec.field(name="t")
    price: Decimal = msgspec.field(name="p")
    quantity: Decimal = msgspec.field(name="q")
    buyer_is_maker: bool = msgspec.field(name="m")
    engine_time_us: UnsignedId = msgspec.field(name="T")


class BookTickerMessage(msgspec.Struct, gc=False, kw_only=True, tag_field="e", tag="bookTicker"):
    """`bookTicker.<symbol>`: the top of the book; price and size of an empty side are null.

    `update_id` is the id of the depth frame of the same event.
    """

    symbol: str = msgspec.field(name="s")
    update_id: UnsignedId = msgspec.field(name="u")
    bid: Decimal | None = msgspec.field(name="b")
    bid_size: Decimal | None = msgspec.field(name="B")
    ask: Decimal | None = msgspec.field(name="a")
    ask_size: Decimal | None = msgspec.field(name="A")
    engine_time_us: UnsignedId = msgspec.field(name="T")


class TickerMessage(msgspec.Struct, gc=False, kw_only=True, tag_field="e", tag="ticker"):
    """`ticker.<symbol>`: statistics of 24 hours, once a second, without bid and ask."""

    symbol: str = msgspec.field(name="s")
    first_price: Decimal = msgspec.field(name="o")
    last_price: Decimal = msgspec.field(name="c")
    high: Decimal = msgspec.field(name="h")
    low: Decimal = msgspec.field(name="l")
    volume: Decimal = msgspec.field(name="v")
    quote_volume: Decimal = msgspec.field(name="V")
    trades: UnsignedId = msgspec.field(name="n")
    event_time_us: UnsignedId = msgspec.field(name="E")


class KlineMessage(msgspec.Struct, gc=False, kw_only=True, tag_field="e", tag="kline"):
    """`kline.<interval>.<symbol>`: prices are null in an interval without trades.

    `start` and the exclusive `stop` are naive UTC on the wire. The interval is in the stream name
    alone.
    """

    symbol: str = msgspec.field(name="s")
    start: datetime = msgspec.field(name="t")
    stop: datetime = msgspec.field(name="T")
    open: Decimal | None = msgspec.field(name="o")
    high: Decimal | None = msgspec.field(name="h")
    low: Decimal | None = msgspec.field(name="l")
    close: Decimal | None = msgspec.field(name="c")
    volume: Decimal = msgspec.field(name="v")
    trades: UnsignedId = msgspec.field(name="n")
    closed: bool = msgspec.field(name="X")
    event_time_us: UnsignedId = msgspec.field(name="E")


class MarkPriceMessage(msgspec.Struct, gc=False, kw_only=True, tag_field="e", tag="markPrice"):
    """`markPrice.<symbol>`: mark, index and the running funding rate, a fraction per interval.

    Prediction markets have neither rate, index nor funding time. `next_funding_ms` is milliseconds.
    """

    symbol: str = msgspec.field(name="s")
    mark_price: Decimal = msgspec.field(name="p")
    engine_time_us: UnsignedId = msgspec.field(name="T")
    funding_rate: Decimal | None = msgspec.field(name="f", default=None)
    index_price: Decimal | None = msgspec.field(name="i", default=None)
    next_funding_ms: UnsignedId | None = msgspec.field(name="n", default=None)


class OpenInterestMessage(
    msgspec.Struct, gc=False, kw_only=True, tag_field="e", tag="openInterest"
):
    """`openInterest.<symbol>`: base units, every 60 s, without an engine time."""

    symbol: str = msgspec.field(name="s")
    open_interest: Decimal = msgspec.field(name="o")
    event_time_us: UnsignedId = msgspec.field(name="E")


class LiquidationMessage(msgspec.Struct, gc=False, kw_only=True, tag_field="e", tag="liquidation"):
    """`liquidation`, or `liquidation.<symbol>`: `side` is Bid or Ask, taken as the order's side."""

    symbol: str = msgspec.field(name="s")
    side: str = msgspec.field(name="S")
    quantity: Decimal = msgspec.field(name="q")
    price: Decimal = msgspec.field(name="p")
    engine_time_us: UnsignedId = msgspec.field(name="T")


class ErrorMessage(msgspec.Struct, gc=False, kw_only=True):
    """`{"id":null,"error":{"code":4003,"message":"Invalid signature"}}`: names no stream."""

    code: int = 0
    message: str = ""


class UnknownMessage(msgspec.Struct, gc=False, kw_only=True):
    """A well formed frame of a stream, or of an `event`, that this feed does not read."""

    stream: str
    event: str = ""


type TaggedMessage = (
    DepthMessage
    | TradeMessage
    | BookTickerMessage
    | TickerMessage
    | KlineMessage
    | MarkPriceMessage
    | OpenInterestMessage
    | LiquidationMessage
    | BalanceMessage
)
"""What the `e` of a payload alone tells apart."""

type Message = TaggedMessage | AccountMessage | ErrorMessage | UnknownMessage


class Envelope(msgspec.Struct, gc=False):
    """One frame: `{"data":{…},"stream":"depth.SOL_USDC"}`; errors of the venue have no stream."""

    stream: str
    data: Message


class DepthSnapshot(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """`GET /depth`. Both sides ascend by price, so the best bid is the last one."""

    last_update_id: UnsignedId = msgspec.field(name="lastUpdateId")
    bids: Levels
    asks: Levels
    timestamp_us: int = msgspec.field(name="timestamp", default=0)


class RestTrade(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """One row of `GET /trades`; the time is in milliseconds."""

    price: Decimal
    quantity: Decimal
    buyer_is_maker: bool = msgspec.field(name="isBuyerMaker")
    timestamp_ms: UnsignedId = msgspec.field(name="timestamp")
    trade_id: UnsignedId | None = msgspec.field(name="id", default=None)


class RestKline(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """One row of `GET /klines`; `start` and the exclusive `end` are naive UTC.

    Prices are null in an interval without trades.
    """

    start: datetime
    end: datetime
    open: Decimal | None
    high: Decimal | None
    low: Decimal | None
    close: Decimal | None
    volume: Decimal
    trades: UnsignedId


class MarketRow(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """The part of a `GET /markets` row that names and bounds a market."""

    symbol: str
    base: str = msgspec.field(name="baseSymbol")
    quote: str = msgspec.field(name="quoteSymbol")
    market_type: str = msgspec.field(name="marketType")
    state: str = msgspec.field(name="orderBookState", default="Open")
    visible: bool = True
    filters: dict[str, Any] = {}
