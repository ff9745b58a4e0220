"""ccxt's trades as cryptofeed's."""

from collections.abc import Iterable, Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

from cryptofeed.defines import BUY, SELL
from cryptofeed.types import Trade

from backpack_feed.constants import BACKFILL, EXCHANGE, MILLISECONDS

_SIDES = {"buy": BUY, "sell": SELL}


class MalformedTrade(ValueError):  # noqa: N818 - says what it is
    """ccxt passed on a trade that lacks a field.

    Where the frame had nothing it has None, and 0 for the time.
    """


def to_trade(
    trade: Mapping[str, Any], symbol: str, *, backfilled: bool = False
) -> tuple[int | None, Trade]:
    """Return (venue id or None, cryptofeed's Trade); raises `MalformedTrade`.

    The time is what ccxt gives: the event's milliseconds from the socket, the trade's from REST.
    The type of a trade that came from REST is `BACKFILL`.
    """
    try:
        trade_id = _trade_id(trade)
        side = _SIDES[trade["side"]]
        price, amount = (_number(trade[name]) for name in ("price", "amount"))
        timestamp = float(_number(trade["timestamp"] or None)) / MILLISECONDS
    except (KeyError, TypeError, ValueError, InvalidOperation) as error:
        raise MalformedTrade(f"trade {trade.get('id')!r} has no usable {error}") from error
    text = None if trade_id is None else str(trade_id)
    kind = BACKFILL if backfilled else None
    return trade_id, Trade(EXCHANGE, symbol, side, amount, price, timestamp, id=text, type=kind)


def engine_time_us(trade: Mapping[str, Any]) -> int:
    """Return the venue's own time of a live trade, which ccxt keeps only in the raw payload, or 0.

    ccxt's `timestamp` says when the frame was sent, so a trade that is sent again looks new.
    """
    try:
        return int(trade["info"]["T"])
    except (KeyError, TypeError, ValueError):
        return 0


def to_numbered(trades: Iterable[Mapping[str, Any]], symbol: str) -> list[tuple[int, Trade]]:
    """Return what can be used of a REST answer: trades with an id, keyed by it."""
    numbered = []
    for trade in trades:
        try:
            trade_id, converted = to_trade(trade, symbol, backfilled=True)
        except MalformedTrade:
            continue
        if trade_id:
            numbered.append((trade_id, converted))
    return numbered


def _trade_id(trade: Mapping[str, Any]) -> int | None:
    if trade["id"] is not None:
        return int(trade["id"])
    # to ccxt a null id, which the venue may send, is the same as a missing one
    info = trade.get("info", {})
    if "t" not in info and "id" not in info:
        raise ValueError("id")
    return None


def _number(value: Any) -> Decimal:
    number = Decimal(str(value))
    if not number.is_finite() or number < 0:
        raise ValueError(f"number {value!r}")
    return number
