"""ccxt's trades as cryptofeed's."""

from collections.abc import Iterable, Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

from cryptofeed.defines import BUY, SELL
from cryptofeed.types import Trade

from backpack_feed.constants import EXCHANGE, MILLISECONDS

_SIDES = {"buy": BUY, "sell": SELL}


class MalformedTrade(ValueError):  # noqa: N818 - says what it is
    """ccxt passed a trade on that lacks a field: it returns None where the frame had nothing."""


def to_trade(trade: Mapping[str, Any], symbol: str) -> tuple[int | None, Trade]:
    """Return (venue id or None, cryptofeed's Trade); raises `MalformedTrade`.

    The time is what ccxt gives: the event's milliseconds from the socket, the trade's from REST.
    """
    try:
        trade_id = int(trade["id"]) if trade["id"] is not None else None
        side = _SIDES[trade["side"]]
        price, amount = (_number(trade[name]) for name in ("price", "amount"))
        timestamp = trade["timestamp"] / MILLISECONDS
    except (KeyError, TypeError, ValueError, InvalidOperation) as error:
        raise MalformedTrade(f"trade {trade.get('id')!r} has no usable {error}") from error
    text = None if trade_id is None else str(trade_id)
    return trade_id, Trade(EXCHANGE, symbol, side, amount, price, timestamp, id=text)


def to_numbered(trades: Iterable[Mapping[str, Any]], symbol: str) -> list[tuple[int, Trade]]:
    """Return what can be used of a REST answer: trades with an id, keyed by it."""
    numbered = []
    for trade in trades:
        try:
            trade_id, converted = to_trade(trade, symbol)
        except MalformedTrade:
            continue
        if trade_id:
            numbered.append((trade_id, converted))
    return numbered


def _number(value: Any) -> Decimal:
    number = Decimal(str(value))
    if not number.is_finite() or number < 0:
        raise ValueError(f"number {value!r}")
    return number
