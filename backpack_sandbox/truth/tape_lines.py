"""The lines of a tape, as they can be compared with the truth.

Two kinds may stand in one file: what a feed wrote (`channel`: `trades` or `l2_book`), and frames as
received from the socket (`data`, `stream`), with the REST books between them wrapped as
`{"symbol": "SOL_USDC", "limit": 1000, "depth": <body of GET /api/v1/depth>}`.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

import msgspec

from backpack_sandbox.constants import DEPTH_LIMITS, DEPTH_WINDOWS_MS
from backpack_sandbox.truth.market_truth import BookSide, BookSides, TradeRow

type Levels = Sequence[tuple[Decimal, Decimal]]

REST_LIMIT_DEFAULT: Final = 1000
ID_MAX: Final = 2**63 - 1
_WHOLE: Final = re.compile(r"[0-9]{1,19}")
_NUMBER: Final = re.compile(r"[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]{1,3})?")

NOT_A_LINE: Final = (
    msgspec.DecodeError,
    ArithmeticError,
    AttributeError,
    KeyError,
    RecursionError,
    TypeError,
    ValueError,
)
"""What reading a line raises that is none."""


@dataclass(frozen=True, slots=True)
class TradeLine:
    """One trade."""

    symbol: str
    stream: str
    row: TradeRow


@dataclass(frozen=True, slots=True)
class TapedBook:
    """The top of a book, best first, as a feed wrote it; `stamp` tells one writing from another."""

    symbol: str
    sequence: int
    bids: Levels
    asks: Levels
    stamp: object


@dataclass(frozen=True, slots=True)
class DepthFrame:
    """Levels that changed with the updates `first_id` to `last_id`."""

    symbol: str
    stream: str
    first_id: int
    last_id: int
    change: BookSides
    is_window: bool


@dataclass(frozen=True, slots=True)
class RestBook:
    """A snapshot of at most `limit` levels a side."""

    symbol: str
    last_id: int
    limit: int
    book: BookSides


@dataclass(frozen=True, slots=True)
class TopFrame:
    """Best bid and ask after an update; None for a side without levels."""

    symbol: str
    update_id: int
    bid: tuple[Decimal, Decimal] | None
    ask: tuple[Decimal, Decimal] | None


type Line = TradeLine | TapedBook | DepthFrame | RestBook | TopFrame


def read_line(text: bytes) -> Line | None:
    """The line; None for one that tells of neither trades nor books. Raises one of NOT_A_LINE."""
    line = msgspec.json.decode(text)
    if not isinstance(line, dict):
        raise TypeError("a line is a JSON object")
    if "channel" in line:
        reader = _FEED_LINES.get(str(line["channel"]))
        return None if reader is None else reader(line)
    if "depth" in line:
        return _rest_book(line)
    if "stream" not in line:
        if "error" in line:
            return None
        raise ValueError("neither channel, stream nor depth")
    reader = _FRAMES.get(str(line["stream"]).partition(".")[0])
    return None if reader is None else reader(line)


def _feed_trade(line: Mapping[str, Any]) -> TradeLine:
    # a feed by ccxt writes the event's time, which is not the trade's
    timed = line.get("variant") != "ccxt" and line["timestamp"] is not None
    return TradeLine(
        _venue_symbol(line["symbol"]),
        "trades",
        TradeRow(
            _whole(line["id"]),
            str(line["side"]),
            _decimal(line["price"]),
            _decimal(line["amount"]),
            round(line["timestamp"] * 1_000_000) if timed else None,
        ),
    )


def _feed_book(line: Mapping[str, Any]) -> TapedBook:
    stamp = line.get("instance_id"), line.get("receipt_timestamp")
    symbol, sequence = _venue_symbol(line["symbol"]), _whole(line["sequence"])
    return TapedBook(symbol, sequence, _levels(line["bids"]), _levels(line["asks"]), stamp)


def _trade(frame: Mapping[str, Any]) -> TradeLine:
    data = _data(frame, "trade")
    if not isinstance(data["m"], bool):
        raise TypeError("m is neither true nor false")
    return TradeLine(
        _name(data["s"]),
        _name(frame["stream"]),
        TradeRow(
            _whole(data["t"]),
            "sell" if data["m"] else "buy",
            _decimal(data["p"]),
            _decimal(data["q"]),
            _whole(data["T"]),
            _whole(data["b"]),
            _whole(data["a"]),
        ),
    )


def _depth(frame: Mapping[str, Any]) -> DepthFrame:
    data = _data(frame, "depth")
    return DepthFrame(
        _name(data["s"]),
        _name(frame["stream"]),
        _whole(data["U"]),
        _whole(data["u"]),
        _sides(data, "b", "a"),
        frame["stream"].count(".") > 1,
    )


def _data(frame: Mapping[str, Any], kind: str) -> Mapping[str, Any]:
    """What a frame says, when its stream is one of that market and kind."""
    data: Mapping[str, Any] = frame["data"]
    stream = _name(frame["stream"])
    symbol = _name(data["s"])
    windows = DEPTH_WINDOWS_MS if kind == "depth" else ()
    if data["e"] != kind or stream not in {
        f"{kind}.{symbol}",
        *(f"{kind}.{window}.{symbol}" for window in windows),
    }:
        raise ValueError(f"stream {stream} has no {data['e']} of {symbol}")
    return data


def _top(frame: Mapping[str, Any]) -> TopFrame:
    data = _data(frame, "bookTicker")
    return TopFrame(
        _name(data["s"]), _whole(data["u"]), _best(data, "b", "B"), _best(data, "a", "A")
    )


def _rest_book(line: Mapping[str, Any]) -> RestBook:
    body = line["depth"]
    limit = _whole(line.get("limit", REST_LIMIT_DEFAULT))
    if limit not in DEPTH_LIMITS:
        raise ValueError(f"no book has limit {limit}")
    sides = _sides(body, "bids", "asks")
    return RestBook(_name(line["symbol"]), _whole(body["lastUpdateId"]), limit, sides)


_FEED_LINES: Final[Mapping[str, Callable[[Mapping[str, Any]], Line]]] = {
    "trades": _feed_trade,
    "l2_book": _feed_book,
}
_FRAMES: Final[Mapping[str, Callable[[Mapping[str, Any]], Line]]] = {
    "trade": _trade,
    "depth": _depth,
    "bookTicker": _top,
}


def _whole(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, str)):
        raise TypeError(f"{value!r} is no id")
    if isinstance(value, str) and not _WHOLE.fullmatch(value):
        raise ValueError(f"{value!r} is no id")
    number = int(value)
    if not 0 <= number <= ID_MAX:
        raise ValueError(f"{number} is no id")
    return number


def _decimal(value: Any) -> Decimal:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is no decimal text")
    if not _NUMBER.fullmatch(value):
        raise ValueError(f"{value!r} is no price or quantity")
    return Decimal(value)


def _name(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is no name")
    return value


def _venue_symbol(symbol: Any) -> str:
    return _name(symbol).replace("-", "_")


def _levels(levels: Any) -> list[tuple[Decimal, Decimal]]:
    return [(_decimal(price), _decimal(quantity)) for price, quantity in levels]


def _sides(data: Mapping[str, Any], bids: str, asks: str) -> BookSides:
    return BookSides(_side(data[bids]), _side(data[asks]))


def _side(levels: Any) -> BookSide:
    pairs = _levels(levels)
    side = dict(pairs)
    if len(side) < len(pairs):
        raise ValueError("a price is there twice")
    return side


def _best(data: Mapping[str, Any], price: str, size: str) -> tuple[Decimal, Decimal] | None:
    return None if data[price] is None else (_decimal(data[price]), _decimal(data[size]))
