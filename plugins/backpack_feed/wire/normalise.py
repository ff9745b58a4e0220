"""Messages → cryptofeed's types, venue symbols ↔ cryptofeed's names (protocol sections 3, 9)."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final

from cryptofeed.defines import BUY, PERPETUAL, SELL, SPOT
from cryptofeed.symbols import Symbol
from cryptofeed.types import Trade

from backpack_feed.constants import BACKFILL, EXCHANGE, MICROSECONDS
from backpack_feed.wire.messages import MarketRow, OrderMessage, TradeMessage

_KINDS: Final = {"SPOT": SPOT, "PERP": PERPETUAL}
_STATES: Final = {
    "New": "open",
    "PartiallyFilled": "partial",
    "Filled": "filled",
    "Cancelled": "cancelled",
    "Expired": "expired",
    "TriggerPending": "trigger_pending",
    "TriggerFailed": "trigger_failed",
}
_SIDES: Final = {"Bid": BUY, "Ask": SELL}


@dataclass(frozen=True)
class SymbolTable:
    """Names of the supported markets, and how many rows of which type were skipped.

    `to_venue`: `SOL-USDC-PERP` → `SOL_USDC_PERP`. `states`: venue symbol → order book state.
    """

    to_venue: dict[str, str]
    states: dict[str, str] = field(default_factory=dict)
    skipped: dict[str, int] = field(default_factory=dict)


def market_name(row: MarketRow) -> str | None:
    """Return cryptofeed's name of a market, or None for a type that cryptofeed cannot name.

    Built from base, quote and type: the wire symbol may contain dots and a lower-case k.
    """
    kind = _KINDS.get(row.market_type)
    if kind is None:
        return None
    return str(Symbol(row.base, row.quote, type=kind).normalized)


def symbol_table(rows: Iterable[MarketRow]) -> SymbolTable:
    """Name every supported market of `/markets`; hidden and closed ones included."""
    table = SymbolTable({})
    for row in rows:
        name = market_name(row)
        if name is None:
            table.skipped[row.market_type] = table.skipped.get(row.market_type, 0) + 1
            continue
        table.to_venue[name] = row.symbol
        table.states[row.symbol] = row.state
    return table


def to_trade(message: TradeMessage, symbol: str, *, backfilled: bool = False) -> Trade:
    """Return cryptofeed's Trade named `symbol`; the side is the taker's, the time unix seconds.

    The type of a trade that came from REST is `BACKFILL`.
    """
    return Trade(
        EXCHANGE,
        symbol,
        SELL if message.buyer_is_maker else BUY,
        message.quantity,
        message.price,
        message.engine_time_us / MICROSECONDS,
        id=None if message.trade_id is None else str(message.trade_id),
        type=BACKFILL if backfilled else None,
    )


@dataclass(frozen=True, kw_only=True)
class OrderFill:
    """One execution of an order."""

    id: str
    price: Decimal
    amount: Decimal
    liquidity: str
    fee: Decimal | None
    fee_currency: str | None


@dataclass(frozen=True, kw_only=True)
class OrderUpdate:
    """One change of one order of the account; amounts in base units, `timestamp` unix seconds.

    `status` is one of open, partial, filled, cancelled, expired, trigger_pending, trigger_failed,
    or the venue's own word when it is a new one.
    """

    exchange: str
    symbol: str
    id: str
    client_id: int | None
    event: str
    status: str
    side: str
    order_type: str
    price: Decimal | None
    amount: Decimal | None
    filled: Decimal | None
    remaining: Decimal | None
    reason: str | None
    timestamp: float
    fill: OrderFill | None = None

    def to_dict(self, numeric_type: Any = None, none_to: Any = False) -> dict[str, Any]:
        """Return plain values as cryptofeed's types do; `fill` is flattened to `fill_…` keys."""
        out: dict[str, Any] = {k: v for k, v in vars(self).items() if k != "fill"}
        for key in ("id", "price", "amount", "liquidity", "fee", "fee_currency"):
            out[f"fill_{key}"] = getattr(self.fill, key, None)
        for key, value in out.items():
            if numeric_type is not None and isinstance(value, Decimal):
                out[key] = numeric_type(value)
            elif value is None and none_to is not False:
                out[key] = none_to
        return out


def to_order_update(message: OrderMessage, symbol: str) -> OrderUpdate:
    """Return the order event named `symbol`; `z` is the total filled and `l` only the last fill."""
    remaining = None
    if message.quantity is not None and message.executed_quantity is not None:
        remaining = message.quantity - message.executed_quantity
    return OrderUpdate(
        exchange=EXCHANGE,
        symbol=symbol,
        id=str(message.order_id),
        client_id=message.client_id,
        event=message.event,
        status=_STATES.get(message.state, message.state),
        side=_SIDES.get(message.side, message.side),
        order_type=message.order_type.lower(),
        price=message.price,
        amount=message.quantity,
        filled=message.executed_quantity,
        remaining=remaining,
        reason=message.expiry_reason,
        timestamp=message.engine_time_us / MICROSECONDS,
        fill=_fill(message),
    )


def _fill(message: OrderMessage) -> OrderFill | None:
    # `t` is present and null on events that are not fills
    if message.fill_id is None or message.fill_price is None or message.fill_quantity is None:
        return None
    return OrderFill(
        id=str(message.fill_id),
        price=message.fill_price,
        amount=message.fill_quantity,
        liquidity="maker" if message.fill_is_maker else "taker",
        fee=message.fee,
        fee_currency=message.fee_symbol,
    )
