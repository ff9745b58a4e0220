"""What a fill costs, in the market's quote asset."""

from decimal import ROUND_DOWN, Decimal
from typing import Final

from backpack_sandbox.market.catalog import Market
from backpack_sandbox.market.events import Fill

MAKER_FEE: Final = Decimal("0.0001")
TAKER_FEE: Final = Decimal("0.0004")
FEE_STEP: Final = Decimal("0.000001")


def fee(market: Market, fill: Fill) -> Decimal:
    """The share of the notional that the venue keeps, cut after six decimals."""
    notional = market.price_grid.value(fill.price) * market.quantity_grid.value(fill.quantity)
    rate = MAKER_FEE if fill.is_maker else TAKER_FEE
    return (notional * rate).quantize(FEE_STEP, rounding=ROUND_DOWN)
