"""Margin of perpetual positions: the venue's `sqrt` function of the notional."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Final


@dataclass(frozen=True, slots=True)
class MarginFunction:
    """`{"type":"sqrt","base","factor"}` of a market, as in `imfFunction` of `/markets`."""

    base: Decimal
    factor: Decimal

    def fraction(self, notional: Decimal) -> Decimal:
        """The share of `notional` (quote units, not negative) that must be there as margin."""
        return max(self.base, self.factor * notional.sqrt())

    def margin(self, notional: Decimal) -> Decimal:
        """The margin of `notional`, in quote units."""
        return notional * self.fraction(notional)

    def body(self) -> dict[str, str]:
        """As markets and positions carry it."""
        return {"base": str(self.base), "factor": str(self.factor), "type": "sqrt"}


INITIAL_MARGIN: Final = MarginFunction(Decimal("0.01333333"), Decimal("0.00002494"))
MAINTENANCE_MARGIN: Final = MarginFunction(Decimal("0.008"), Decimal("0.00001496"))
