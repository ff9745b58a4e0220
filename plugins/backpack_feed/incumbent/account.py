"""ccxt's orders and positions as this package's account events, right or wrong as ccxt has them."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

from backpack_feed.constants import EXCHANGE, MILLISECONDS
from backpack_feed.wire.account_events import FLAT, LONG, SHORT, OrderUpdate, Position

_STATES: Final = {
    "open": "open",
    "closed": "filled",
    "canceled": "cancelled",
    "rejected": "trigger_failed",
}


def to_order_update(order: Mapping[str, Any], symbol: str) -> OrderUpdate:
    """Return the order event named `symbol`.

    ccxt's `filled` is the last fill and not the total, and `remaining` follows from it; a partly
    filled order is open, an expired one cancelled; reason, origin and fill are not told.
    """
    client_id = order["clientOrderId"]
    return OrderUpdate(
        exchange=EXCHANGE,
        symbol=symbol,
        id=str(order["id"]),
        client_id=int(client_id) if client_id else None,
        event=str(order["info"].get("e", "")),
        status=_STATES.get(order["status"], str(order["status"])),
        side=str(order["side"]),
        order_type=str(order["type"]),
        price=_decimal(order["price"]),
        amount=_decimal(order["amount"]),
        filled=_decimal(order["filled"]),
        remaining=_decimal(order["remaining"]),
        reason=None,
        origin=None,
        timestamp=_seconds(order),
    )


def has_wrong_total(order: Mapping[str, Any]) -> bool:
    """Whether the venue's total of what was filled is not the one that ccxt tells."""
    return _differ(order["info"].get("z"), order["filled"] or 0)


def to_position(position: Mapping[str, Any], symbol: str) -> Position:
    """Return the position named `symbol`; ccxt's entry price is the break-even price."""
    size = _decimal(position["contracts"]) or Decimal(0)
    short = position["side"] == SHORT
    return Position(
        exchange=EXCHANGE,
        symbol=symbol,
        id=str(position["id"]),
        event=position["info"].get("e"),
        position=-size if short else size,
        side=(SHORT if short else LONG) if size else FLAT,
        entry_price=_decimal(position["entryPrice"]),
        break_even=None,
        mark=_decimal(position["markPrice"]),
        unrealised_pnl=_decimal(position["unrealizedPnl"]),
        realised_pnl=_decimal(position["realizedPnl"]),
        exposure=size,
        notional=_decimal(position["notional"]),
        initial_margin=_decimal(position["initialMarginPercentage"]),
        maintenance_margin=_decimal(position["maintenanceMarginPercentage"]),
        initial=False,
        timestamp=_seconds(position),
    )


def has_wrong_entry(position: Mapping[str, Any]) -> bool:
    """Whether the venue's entry price is not the one that ccxt tells."""
    return _differ(position["info"].get("B"), position["entryPrice"])


def _differ(venue: Any, told: Any) -> bool:
    if venue is None or told is None:
        return venue is not told
    # through a float, because that is how exact ccxt is
    return float(venue) != float(told)


def _decimal(number: Any) -> Decimal | None:
    return None if number is None else Decimal(str(number))


def _seconds(event: Mapping[str, Any]) -> float:
    return float(event["timestamp"] or 0) / MILLISECONDS
