"""Bytes → messages: the only reader of JSON in the native feed. Pure.

Tolerant where the venue's documents and its wire disagree (protocol section 12): ids may be digit
strings, decimals may be JSON numbers, fields may be added. Strict where data would be invented: for
a missing price, a null quantity, a NaN or a negative level the frame is dropped whole.
"""

from collections.abc import Callable
from decimal import Decimal

import msgspec

from backpack_feed.constants import DEPTH, ORDER_UPDATE, TRADE
from backpack_feed.errors import DecodeError
from backpack_feed.wire.messages import (
    DepthMessage,
    DepthSnapshot,
    ErrorMessage,
    Level,
    MarketRow,
    Message,
    OrderMessage,
    RestTrade,
    TradeMessage,
    UnknownMessage,
)

MAX_ID = 2**63 - 1
MAX_EXPONENT = 40
"""`1e999999999` is a legal decimal that would fill the memory when printed."""

_ABSENT = msgspec.Raw(b"")


class _Envelope(msgspec.Struct, gc=False):
    data: msgspec.Raw = _ABSENT
    stream: str | None = None
    error: ErrorMessage | None = None


def _decoder[T](kind: type[T]) -> msgspec.json.Decoder[T]:
    return msgspec.json.Decoder(kind, strict=False)


_envelope = _decoder(_Envelope)
_trade = _decoder(TradeMessage)
_depth = _decoder(DepthMessage)
_order = _decoder(OrderMessage)
_snapshot = _decoder(DepthSnapshot)
_rest_trades = _decoder(list[RestTrade])
_rows = _decoder(list[msgspec.Raw])
_market = _decoder(MarketRow)


def decode(frame: bytes | str) -> Message:
    """Read one websocket frame; raises `DecodeError` and nothing else."""
    envelope = _read(_envelope, frame, None)
    if envelope.error is not None:
        return envelope.error
    stream = envelope.stream
    if stream is None or not envelope.data:
        raise DecodeError("envelope", "neither data with a stream nor an error")
    for prefix, read in _READERS:
        if stream.startswith(prefix):
            return read(envelope.data, stream)
    return UnknownMessage(stream=stream)


def decode_depth_snapshot(body: bytes) -> DepthSnapshot:
    """Read the body of `GET /depth`; raises `DecodeError`."""
    snapshot = _read(_snapshot, body, None)
    _check_id(snapshot.last_update_id, None)
    _check_levels(snapshot.bids, None)
    _check_levels(snapshot.asks, None)
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
        _check_trade(trade, None)
    trades.reverse()
    return trades


def decode_markets(body: bytes) -> tuple[list[MarketRow], int]:
    """Read the body of `GET /markets`: (readable rows, number of unreadable rows)."""
    rows: list[MarketRow] = []
    unreadable = 0
    for raw in _read(_rows, body, None):
        try:
            rows.append(_market.decode(raw))
        except msgspec.MsgspecError:
            unreadable += 1
    return rows, unreadable


def _read[T](decoder: msgspec.json.Decoder[T], data: bytes | str, stream: str | None) -> T:
    try:
        return decoder.decode(data)
    except msgspec.ValidationError as error:
        raise DecodeError("schema", str(error), stream) from None
    except msgspec.DecodeError as error:
        raise DecodeError("json", str(error), stream) from None
    except UnicodeDecodeError:
        raise DecodeError("json", "is not UTF-8", stream) from None
    except RecursionError:
        raise DecodeError("nesting", "is nested too deeply", stream) from None


def _read_trade(data: msgspec.Raw, stream: str) -> TradeMessage:
    trade = _read(_trade, data, stream)
    _check_trade(trade, stream)
    return trade


def _read_depth(data: msgspec.Raw, stream: str) -> DepthMessage:
    depth = _read(_depth, data, stream)
    _check_id(depth.first_id, stream)
    _check_id(depth.last_id, stream)
    if depth.first_id > depth.last_id:
        raise DecodeError("value", f"U {depth.first_id} is above u {depth.last_id}", stream)
    _check_levels(depth.bids, stream)
    _check_levels(depth.asks, stream)
    return depth


def _read_order(data: msgspec.Raw, stream: str) -> OrderMessage:
    return _read(_order, data, stream)


# The longest prefix decides; symbols contain dots, so a stream name is never split at every dot
_READERS: tuple[tuple[str, Callable[[msgspec.Raw, str], Message]], ...] = (
    (f"{DEPTH}.", _read_depth),
    (f"{TRADE}.", _read_trade),
    (ORDER_UPDATE, _read_order),
)


def _check_trade(trade: TradeMessage, stream: str | None) -> None:
    if trade.trade_id is not None:
        _check_id(trade.trade_id, stream)
    if not (_sane(trade.price) and trade.price > 0 and _sane(trade.quantity)):
        raise DecodeError("value", f"trade {trade.trade_id} has no usable price", stream)
    if trade.quantity < 0:
        raise DecodeError("value", f"trade {trade.trade_id} has a negative quantity", stream)
    _check_id(trade.engine_time_us, stream)


def _check_id(value: int, stream: str | None) -> None:
    if not 0 <= value <= MAX_ID:
        raise DecodeError("value", "an id or a time is out of range", stream)


def _check_levels(levels: tuple[Level, ...], stream: str | None) -> None:
    for price, quantity in levels:
        if not (_sane(price) and price > 0 and _sane(quantity) and quantity >= 0):
            raise DecodeError("value", "a level has no usable price or quantity", stream)


def _sane(value: Decimal) -> bool:
    return value.is_finite() and abs(value.adjusted()) <= MAX_EXPONENT
