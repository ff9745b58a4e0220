"""What a fill costs: a spot buyer pays in what he bought, everyone else in the quote asset."""

from dataclasses import dataclass
from decimal import ROUND_DOWN, Decimal
from typing import Final

from backpack_sandbox.market.book import Side
from backpack_sandbox.market.catalog import Market
from backpack_sandbox.market.events import Fill

MAKER_RATE: Final = Decimal("0.0001")
TAKER_RATES: Final = {"SPOT": Decimal("0.001"), "PERP": Decimal("0.0004")}
QUOTE_STEP: Final = Decimal("0.000001")
BASE_STEP: Final = Decimal("0.00000001")


@dataclass(frozen=True, slots=True)
class Fee:
    """`amount` of `asset`, never negative."""

    amount: Decimal
    asset: str


def fee(market: Market, side: Side, fill: Fill) -> Fee:
    """The share that the venue keeps of a fill of an order on `side`.

    Cut after six decimals of the quote asset, or eight of the base asset (golden frames
    `order_fill_partial` and `order_fill_market_taker`; the rates are inferred from them).
    """
    rate = MAKER_RATE if fill.is_maker else TAKER_RATES.get(market.market_type, MAKER_RATE)
    quantity = market.quantity_grid.value(fill.quantity)
    if market.market_type == "SPOT" and side is Side.BID:
        return Fee((quantity * rate).quantize(BASE_STEP, ROUND_DOWN), market.base)
    notional = market.price_grid.value(fill.price) * quantity
    return Fee((notional * rate).quantize(QUOTE_STEP, ROUND_DOWN), market.quote)
