"""What REST tells of the account: positions and fills as rows, and as the events of the streams.

A row of REST and a frame of the stream give the same event types; see `account_events`.
"""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Final

import msgspec

from backpack_feed.constants import EXCHANGE
from backpack_feed.wire.account_events import FLAT, LONG, SHORT, SIDES, Balance, Fill, Position
from backpack_feed.wire.bounds import UnsignedId

_ZERO: Final = Decimal(0)


class RestPosition(msgspec.Struct, gc=False, kw_only=True):
    """One row of `GET /position`: an open position; `quantity` is negative for a short."""

    symbol: str
    position_id: str | int = msgspec.field(name="positionId")
    quantity: Decimal = msgspec.field(name="netQuantity")
    entry_price: Decimal | None = msgspec.field(name="entryPrice", default=None)
    break_even_price: Decimal | None = msgspec.field(name="breakEvenPrice", default=None)
    mark_price: Decimal | None = msgspec.field(name="markPrice", default=None)
    realised_pnl: Decimal | None = msgspec.field(name="pnlRealized", default=None)
    unrealised_pnl: Decimal | None = msgspec.field(name="pnlUnrealized", default=None)
    exposure_quantity: Decimal | None = msgspec.field(name="netExposureQuantity", default=None)
    exposure_notional: Decimal | None = msgspec.field(name="netExposureNotional", default=None)
    initial_margin_fraction: Decimal | None = msgspec.field(name="imf", default=None)
    maintenance_margin_fraction: Decimal | None = msgspec.field(name="mmf", default=None)


class RestFill(msgspec.Struct, gc=False, kw_only=True):
    """One row of `GET /history/fills`; `executed_at` is naive UTC, in milliseconds."""

    symbol: str
    order_id: str | int = msgspec.field(name="orderId")
    side: str
    price: Decimal
    quantity: Decimal
    executed_at: datetime = msgspec.field(name="timestamp")
    fill_id: UnsignedId | None = msgspec.field(name="tradeId", default=None)
    client_id: int | None = msgspec.field(name="clientId", default=None)
    fee: Decimal | None = None
    fee_symbol: str | None = msgspec.field(name="feeSymbol", default=None)
    is_maker: bool | None = msgspec.field(name="isMaker", default=None)


def to_listed_position(row: RestPosition, symbol: str, receipt: float) -> Position:
    """Return the position that REST told at `receipt`, unix seconds."""
    quantity = row.quantity
    return Position(
        exchange=EXCHANGE,
        symbol=symbol,
        id=str(row.position_id),
        event=None,
        position=quantity,
        side=(LONG if quantity > 0 else SHORT) if quantity else FLAT,
        entry_price=row.entry_price,
        break_even=row.break_even_price,
        mark=row.mark_price,
        unrealised_pnl=row.unrealised_pnl,
        realised_pnl=row.realised_pnl,
        exposure=row.exposure_quantity,
        notional=row.exposure_notional,
        initial_margin=row.initial_margin_fraction,
        maintenance_margin=row.maintenance_margin_fraction,
        initial=True,
        timestamp=receipt,
    )


def to_absent_position(symbol: str, position_id: str, receipt: float) -> Position:
    """Return the end of a position that REST lists no more; how it ended is not known."""
    return Position(
        exchange=EXCHANGE,
        symbol=symbol,
        id=position_id,
        event=None,
        position=_ZERO,
        side=FLAT,
        entry_price=None,
        break_even=None,
        mark=None,
        unrealised_pnl=None,
        realised_pnl=None,
        exposure=None,
        notional=None,
        initial_margin=None,
        maintenance_margin=None,
        initial=True,
        timestamp=receipt,
    )


def to_absent_balance(asset: str, receipt: float) -> Balance:
    """Return the zero balance of an asset that REST lists no more."""
    return Balance(
        exchange=EXCHANGE,
        currency=asset,
        balance=_ZERO,
        available=_ZERO,
        reserved=_ZERO,
        staked=_ZERO,
        initial=True,
        timestamp=receipt,
    )


def to_past_fill(row: RestFill, symbol: str) -> Fill:
    """Return a fill of the past; it differs from the stream's in `backfilled` and in precision."""
    moment = row.executed_at if row.executed_at.tzinfo else row.executed_at.replace(tzinfo=UTC)
    return Fill(
        exchange=EXCHANGE,
        symbol=symbol,
        order_id=str(row.order_id),
        client_id=row.client_id,
        id=None if row.fill_id is None else str(row.fill_id),
        side=SIDES.get(row.side, row.side),
        price=row.price,
        amount=row.quantity,
        liquidity=None if row.is_maker is None else ("maker" if row.is_maker else "taker"),
        fee=row.fee,
        fee_currency=row.fee_symbol,
        timestamp=moment.timestamp(),
        backfilled=True,
    )
