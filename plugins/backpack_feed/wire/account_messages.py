"""Structs of the account's payloads (protocol section 8), with readable names.

Engine times are microseconds. Enumerations stay strings: the venue adds values without notice.
"""

from decimal import Decimal

import msgspec

from backpack_feed.wire.bounds import UnsignedId


class OrderMessage(msgspec.Struct, gc=False, kw_only=True):
    """`account.orderUpdate`: one order event. `t` is present and null unless the order filled.

    `executed_quantity` is the total filled, `fill_quantity` only this fill. Market orders have no
    price.
    """

    event: str = msgspec.field(name="e")
    symbol: str = msgspec.field(name="s")
    order_id: str | int = msgspec.field(name="i")
    side: str = msgspec.field(name="S")
    order_type: str = msgspec.field(name="o")
    state: str = msgspec.field(name="X")
    engine_time_us: UnsignedId = msgspec.field(name="T")
    client_id: int | None = msgspec.field(name="c", default=None)
    price: Decimal | None = msgspec.field(name="p", default=None)
    quantity: Decimal | None = msgspec.field(name="q", default=None)
    executed_quantity: Decimal | None = msgspec.field(name="z", default=None)
    fill_id: UnsignedId | None = msgspec.field(name="t", default=None)
    fill_price: Decimal | None = msgspec.field(name="L", default=None)
    fill_quantity: Decimal | None = msgspec.field(name="l", default=None)
    fill_is_maker: bool | None = msgspec.field(name="m", default=None)
    fee: Decimal | None = msgspec.field(name="n", default=None)
    fee_symbol: str | None = msgspec.field(name="N", default=None)
    expiry_reason: str | None = msgspec.field(name="R", default=None)
    origin: str | None = msgspec.field(name="O", default=None)


class PositionMessage(msgspec.Struct, gc=False, kw_only=True):
    """`account.positionUpdate`: one position; the first frames after SUBSCRIBE have no `e`.

    `quantity` is signed and negative for a short. The documents show JSON numbers and a string id,
    the wire has strings and an integer id; both are read.
    """

    symbol: str = msgspec.field(name="s")
    position_id: str | int = msgspec.field(name="i")
    quantity: Decimal = msgspec.field(name="q")
    engine_time_us: UnsignedId = msgspec.field(name="T")
    event: str | None = msgspec.field(name="e", default=None)
    entry_price: Decimal | None = msgspec.field(name="B", default=None)
    break_even_price: Decimal | None = msgspec.field(name="b", default=None)
    mark_price: Decimal | None = msgspec.field(name="M", default=None)
    realised_pnl: Decimal | None = msgspec.field(name="p", default=None)
    unrealised_pnl: Decimal | None = msgspec.field(name="P", default=None)
    exposure_quantity: Decimal | None = msgspec.field(name="Q", default=None)
    exposure_notional: Decimal | None = msgspec.field(name="n", default=None)
    initial_margin_fraction: Decimal | None = msgspec.field(name="f", default=None)
    maintenance_margin_fraction: Decimal | None = msgspec.field(name="m", default=None)


class BalanceMessage(msgspec.Struct, gc=False, kw_only=True, tag_field="e", tag="balanceUpdate"):
    """`account.balanceUpdate`: the absolute balance of one asset."""

    asset: str = msgspec.field(name="a")
    available: Decimal = msgspec.field(name="A")
    locked: Decimal = msgspec.field(name="L")
    staked: Decimal = msgspec.field(name="S")
    engine_time_us: UnsignedId = msgspec.field(name="T")


class AssetCapital(msgspec.Struct, gc=False, kw_only=True):
    """One asset of `GET /capital`: `{"USDC":{"available":"100","locked":"10","staked":"0"}}`."""

    available: Decimal
    locked: Decimal
    staked: Decimal = Decimal(0)


type AccountMessage = OrderMessage | PositionMessage | BalanceMessage
