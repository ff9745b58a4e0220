"""What the account's channels deliver: orders, fills, balances and positions.

cryptofeed 3 has no types for them, so these are ours, in the manner of its own: plain attributes,
`to_dict(numeric_type, none_to)`, unix seconds.
"""

from dataclasses import dataclass
from decimal import Context, Decimal
from typing import Any, Final

from cryptofeed.defines import BUY, SELL

from backpack_feed.constants import EXCHANGE, MICROSECONDS
from backpack_feed.wire.account_messages import (
    AssetCapital,
    BalanceMessage,
    OrderMessage,
    PositionMessage,
)

LONG: Final = "long"
SHORT: Final = "short"
FLAT: Final = "flat"

_ORDER_FILL: Final = "orderFill"
_STATES: Final = {
    "New": "open",
    "PartiallyFilled": "partial",
    "Filled": "filled",
    "Cancelled": "cancelled",
    "Expired": "expired",
    "TriggerPending": "trigger_pending",
    "TriggerFailed": "trigger_failed",
}
TERMINAL: Final = frozenset({"filled", "cancelled", "expired", "trigger_failed"})
"""`OrderUpdate.status` after which an order never changes again."""
SIDES: Final = {"Bid": BUY, "Ask": SELL}
"""The venue's word → cryptofeed's."""
_EXACT: Final = Context(prec=200)
"""More digits than a sum or difference of two amounts within the bounds can have in practice."""
_FILL_KEYS: Final = ("id", "price", "amount", "liquidity", "fee", "fee_currency")


class _AccountEvent:
    def to_dict(self, numeric_type: Any = None, none_to: Any = False) -> dict[str, Any]:
        """Return plain values as cryptofeed's types do.

        `numeric_type` converts every Decimal, `none_to` replaces every None.
        """
        return _converted(dict(vars(self)), numeric_type, none_to)


@dataclass(frozen=True, kw_only=True)
class Fill(_AccountEvent):
    """One execution of one order; `amount` in base units, `fee` (negative: a rebate) in its asset.

    `id` is the trade's id in its market, None if the venue gave none. `liquidity` is maker or
    taker, None if the venue did not say. `timestamp` is the engine's time in unix seconds.
    `backfilled` marks what was missed while the socket was down and came from REST.
    """

    exchange: str
    symbol: str
    order_id: str
    client_id: int | None
    id: str | None
    side: str
    price: Decimal
    amount: Decimal
    liquidity: str | None
    fee: Decimal | None
    fee_currency: str | None
    timestamp: float
    backfilled: bool = False


@dataclass(frozen=True, kw_only=True)
class OrderUpdate(_AccountEvent):
    """One change of one order of the account; amounts in base units, `timestamp` unix seconds.

    `status` is one of open, partial, filled, cancelled, expired, trigger_pending, trigger_failed,
    or the venue's own word when it is a new one. `filled` is the total, `fill` the execution that
    this change is, if it is one. `origin` is the venue's word for who placed it, such as USER.
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
    origin: str | None
    timestamp: float
    fill: Fill | None = None

    def to_dict(self, numeric_type: Any = None, none_to: Any = False) -> dict[str, Any]:
        """Return plain values as cryptofeed's types do; `fill` is flattened to `fill_…` keys."""
        plain = {key: value for key, value in vars(self).items() if key != "fill"}
        for key in _FILL_KEYS:
            plain[f"fill_{key}"] = getattr(self.fill, key, None)
        return _converted(plain, numeric_type, none_to)


@dataclass(frozen=True, kw_only=True)
class Balance(_AccountEvent):
    """The balance of one asset, all of it: `balance` = `available` + `reserved` + `staked`.

    `reserved` is locked in orders. `initial` marks what REST told at the start of a subscription;
    its `timestamp` is the receipt, the one of a change the engine's time, both unix seconds.
    """

    exchange: str
    currency: str
    balance: Decimal
    available: Decimal
    reserved: Decimal
    staked: Decimal
    initial: bool
    timestamp: float


@dataclass(frozen=True, kw_only=True)
class Position(_AccountEvent):
    """One position: `position` is in base units, negative for a short, zero once closed.

    `side` is long, short or flat. `initial` marks the state at the start of a subscription, later
    ones have the venue's `event`. Prices and profits are in the quote asset, margins fractions.
    `timestamp` is the engine's time in unix seconds.
    """

    exchange: str
    symbol: str
    id: str
    event: str | None
    position: Decimal
    side: str
    entry_price: Decimal | None
    break_even: Decimal | None
    mark: Decimal | None
    unrealised_pnl: Decimal | None
    realised_pnl: Decimal | None
    exposure: Decimal | None
    notional: Decimal | None
    initial_margin: Decimal | None
    maintenance_margin: Decimal | None
    initial: bool
    timestamp: float


def to_order_update(message: OrderMessage, symbol: str) -> OrderUpdate:
    """Return the order event named `symbol`; `z` is the total filled and `l` only the last fill."""
    remaining = None
    if message.quantity is not None and message.executed_quantity is not None:
        remaining = _EXACT.subtract(message.quantity, message.executed_quantity)
    return OrderUpdate(
        exchange=EXCHANGE,
        symbol=symbol,
        id=str(message.order_id),
        client_id=message.client_id,
        event=message.event,
        status=_STATES.get(message.state, message.state),
        side=SIDES.get(message.side, message.side),
        order_type=message.order_type.lower(),
        price=message.price,
        amount=message.quantity,
        filled=message.executed_quantity,
        remaining=remaining,
        reason=message.expiry_reason,
        origin=message.origin,
        timestamp=message.engine_time_us / MICROSECONDS,
        fill=_to_fill(message, symbol),
    )


def _to_fill(message: OrderMessage, symbol: str) -> Fill | None:
    # `t` is present and null on events that are not fills
    if message.fill_id is None and message.event != _ORDER_FILL:
        return None
    if message.fill_price is None or message.fill_quantity is None:
        return None
    maker = message.fill_is_maker
    return Fill(
        exchange=EXCHANGE,
        symbol=symbol,
        order_id=str(message.order_id),
        client_id=message.client_id,
        id=None if message.fill_id is None else str(message.fill_id),
        side=SIDES.get(message.side, message.side),
        price=message.fill_price,
        amount=message.fill_quantity,
        liquidity=None if maker is None else ("maker" if maker else "taker"),
        fee=message.fee,
        fee_currency=message.fee_symbol,
        timestamp=message.engine_time_us / MICROSECONDS,
    )


def to_balance(message: BalanceMessage) -> Balance:
    """Return a change of a balance."""
    return Balance(
        exchange=EXCHANGE,
        currency=message.asset,
        balance=_sum(message),
        available=message.available,
        reserved=message.locked,
        staked=message.staked,
        initial=False,
        timestamp=message.engine_time_us / MICROSECONDS,
    )


def to_initial_balance(asset: str, capital: AssetCapital, receipt: float) -> Balance:
    """Return the balance that `GET /capital` told at `receipt`, unix seconds."""
    return Balance(
        exchange=EXCHANGE,
        currency=asset,
        balance=_sum(capital),
        available=capital.available,
        reserved=capital.locked,
        staked=capital.staked,
        initial=True,
        timestamp=receipt,
    )


def to_position(message: PositionMessage, symbol: str) -> Position:
    """Return the position named `symbol`; the entry price is `B`, `b` is only the break-even."""
    quantity = message.quantity
    return Position(
        exchange=EXCHANGE,
        symbol=symbol,
        id=str(message.position_id),
        event=message.event,
        position=quantity,
        side=(LONG if quantity > 0 else SHORT) if quantity else FLAT,
        entry_price=message.entry_price,
        break_even=message.break_even_price,
        mark=message.mark_price,
        unrealised_pnl=message.unrealised_pnl,
        realised_pnl=message.realised_pnl,
        exposure=message.exposure_quantity,
        notional=message.exposure_notional,
        initial_margin=message.initial_margin_fraction,
        maintenance_margin=message.maintenance_margin_fraction,
        initial=message.event is None,
        timestamp=message.engine_time_us / MICROSECONDS,
    )


def _sum(parts: BalanceMessage | AssetCapital) -> Decimal:
    return _EXACT.add(_EXACT.add(parts.available, parts.locked), parts.staked)


def _converted(plain: dict[str, Any], numeric_type: Any, none_to: Any) -> dict[str, Any]:
    for key, value in plain.items():
        if numeric_type is not None and isinstance(value, Decimal):
            plain[key] = numeric_type(value)
        elif value is None and none_to is not False:
            plain[key] = none_to
    return plain
