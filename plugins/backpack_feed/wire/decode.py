"""Bytes → messages: the only reader of JSON in the native feed. Pure.

Tolerant where the venue's documents and its wire disagree (protocol section 12): ids may be digit
strings, decimals may be JSON numbers, fields may be added. Strict where data would be invented: for
a missing price, a null quantity, a NaN or a negative level the frame is dropped whole.

Nearly every frame is read in one pass, by the tag `e` of its payload. Whatever that pass refuses is
read again by the name of its stream, which finds the frames without a tag, tells new events from
broken ones and names what is wrong.
"""

from collections.abc import Callable
from typing import Any, Final, NamedTuple

import msgspec

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
from backpack_feed.errors import DecodeError
from backpack_feed.wire import checks
from backpack_feed.wire.account_answers import RestFill, RestPosition
from backpack_feed.wire.account_messages import (
    AssetCapital,
    BalanceMessage,
    OrderMessage,
    PositionMessage,
)
from backpack_feed.wire.messages import (
    BookTickerMessage,
    DepthMessage,
    DepthSnapshot,
    Envelope,
    ErrorMessage,
    KlineMessage,
    LiquidationMessage,
    MarketRow,
    MarkPriceMessage,
    OpenInterestMessage,
    RestKline,
    RestTrade,
    TaggedMessage,
    TickerMessage,
    TradeMessage,
    UnknownMessage,
)

ACCOUNT: Final = "account"
_ABSENT = msgspec.Raw(b"")


class _TaggedEnvelope(Envelope, gc=False):
    data: TaggedMessage


class _RawEnvelope(msgspec.Struct, gc=False):
    data: msgspec.Raw = _ABSENT
    stream: str | None = None
    error: ErrorMessage | None = None


class _Tag(msgspec.Struct, gc=False):
    e: str | None = None


class _Kind(NamedTuple):
    """How the streams of one name are read; without an `event` every event has the same shape."""

    message: type[Any]
    check: Callable[[Any, str], None]
    event: str | None = None


_KINDS: Final[dict[str, _Kind]] = {
    DEPTH: _Kind(DepthMessage, checks.check_depth, DEPTH),
    TRADE: _Kind(TradeMessage, checks.check_trade, TRADE),
    BOOK_TICKER: _Kind(BookTickerMessage, checks.check_book_ticker, BOOK_TICKER),
    TICKER_STREAM: _Kind(TickerMessage, checks.check_ticker, TICKER_STREAM),
    KLINE: _Kind(KlineMessage, checks.check_kline, KLINE),
    MARK_PRICE: _Kind(MarkPriceMessage, checks.check_mark_price, MARK_PRICE),
    OPEN_INTEREST_STREAM: _Kind(
        OpenInterestMessage, checks.check_open_interest, OPEN_INTEREST_STREAM
    ),
    LIQUIDATION: _Kind(LiquidationMessage, checks.check_liquidation, LIQUIDATION),
    BALANCE_UPDATE: _Kind(BalanceMessage, checks.check_balance, "balanceUpdate"),
    ORDER_UPDATE: _Kind(OrderMessage, checks.check_order),
    POSITION_UPDATE: _Kind(PositionMessage, checks.check_position),
}
_EVENTS: Final = frozenset(kind.event for kind in _KINDS.values())


def _decoder[T](kind: type[T]) -> msgspec.json.Decoder[T]:
    return msgspec.json.Decoder(kind, strict=False)


_read_tagged = _decoder(_TaggedEnvelope).decode
_TAGGED: Final = {
    kind.message: (
        name if name in (LIQUIDATION, BALANCE_UPDATE) else f"{name}.",
        kind.check,
    )
    for name, kind in _KINDS.items()
    if kind.event
}
_UNREADABLE: Final = (msgspec.MsgspecError, UnicodeError, RecursionError)
_decoders: Final = {kind.message: _decoder(kind.message) for kind in _KINDS.values()}
_raw_envelope = _decoder(_RawEnvelope)
_tag = _decoder(_Tag)
_snapshot = _decoder(DepthSnapshot)
_rest_trades = _decoder(list[RestTrade])
_rows = _decoder(list[msgspec.Raw])
_market = _decoder(MarketRow)
_capital = _decoder(dict[str, AssetCapital])
_klines = _decoder(list[RestKline])
_positions = _decoder(list[RestPosition])
_fills = _decoder(list[RestFill])


def decode(frame: bytes | str) -> Envelope:
    """Read one websocket frame; raises `DecodeError` and nothing else."""
    try:
        envelope = _read_tagged(frame)
    except _UNREADABLE:
        return _decode_by_stream(frame)
    stream, data = envelope.stream, envelope.data
    prefix, check = _TAGGED[type(data)]
    if not stream.startswith(prefix):
        return _decode_by_stream(frame)
    check(data, stream)
    return envelope


def _decode_by_stream(frame: bytes | str) -> Envelope:
    envelope = _read(_raw_envelope, frame, None)
    if envelope.error is not None:
        return Envelope("", envelope.error)
    stream = envelope.stream
    if stream is None or not envelope.data:
        raise DecodeError("envelope", "neither data with a stream nor an error")
    kind = _KINDS.get(_name(stream))
    event = _read(_tag, envelope.data, stream).e
    if kind is None or not _belongs(event, kind, stream):
        return Envelope(stream, UnknownMessage(stream=stream, event=event or ""))
    message = _read(_decoders[kind.message], envelope.data, stream)
    kind.check(message, stream)
    return Envelope(stream, message)


def _name(stream: str) -> str:
    """Return the part before the window, the interval and the symbol, which may contain dots."""
    head, _, rest = stream.partition(".")
    return f"{head}.{rest.partition('.')[0]}" if head == ACCOUNT else head


def _belongs(event: str | None, kind: _Kind, stream: str) -> bool:
    """Whether to read the payload; an event of another stream is an error and not a new one."""
    if event is None or kind.event is None or event == kind.event:
        return True
    if event in _EVENTS:
        raise DecodeError("schema", f"a payload of {event}", stream)
    return False


def decode_depth_snapshot(body: bytes) -> DepthSnapshot:
    """Read the body of `GET /depth`; raises `DecodeError`."""
    snapshot = _read(_snapshot, body, None)
    checks.check_snapshot(snapshot)
    return snapshot


def decode_rest_trades(body: bytes, symbol: str) -> list[TradeMessage]:
    """Read the body of `GET /trades` into the shape of the stream, oldest first."""
    trades = [
        TradeMessage(
            symbol=symbol,
            trade_id=row.trade_id,
            price=row.price,
            quantity=row.quantity,
            buyer_is_maker=row.buyer_is_maker,
            engine_time_us=row.timestamp_ms * 1_000,
        )
        for row in _read(_rest_trades, body, None)
    ]
    for trade in trades:
        checks.check_trade(trade, None)
    trades.reverse()
    return trades


def decode_markets(body: bytes) -> tuple[list[MarketRow], int]:
    """Read the body of `GET /markets`: (readable rows, number of unreadable rows)."""
    rows: list[MarketRow] = []
    unreadable = 0
    for raw in _read(_rows, body, None):
        try:
            rows.append(_market.decode(raw))
        except _UNREADABLE:
            unreadable += 1
    return rows, unreadable


def decode_capital(body: bytes) -> dict[str, AssetCapital]:
    """Read the body of `GET /capital`: asset → balance; raises `DecodeError`."""
    capital = _read(_capital, body, None)
    for asset in capital.values():
        checks.check_capital(asset)
    return capital


def decode_klines(body: bytes) -> list[RestKline]:
    """Read the body of `GET /klines`, oldest first; raises `DecodeError`."""
    rows = _read(_klines, body, None)
    for row in rows:
        checks.check_rest_kline(row)
    return rows


def decode_positions(body: bytes) -> list[RestPosition]:
    """Read the body of `GET /position`; raises `DecodeError`."""
    rows = _read(_positions, body, None)
    for row in rows:
        checks.check_rest_position(row)
    return rows


def decode_fills(body: bytes) -> list[RestFill]:
    """Read the body of `GET /history/fills`, in the order of the venue; raises `DecodeError`."""
    rows = _read(_fills, body, None)
    for row in rows:
        checks.check_rest_fill(row)
    return rows


def _read[T](decoder: msgspec.json.Decoder[T], data: bytes | str, stream: str | None) -> T:
    try:
        return decoder.decode(data)
    except msgspec.ValidationError as error:
        raise DecodeError("schema", str(error), stream) from None
    except msgspec.DecodeError as error:
        raise DecodeError("json", str(error), stream) from None
    except UnicodeError:
        raise DecodeError("json", "is not UTF-8", stream) from None
    except RecursionError:
        raise DecodeError("nesting", "is nested too deeply", stream) from None
