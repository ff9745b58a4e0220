"""One perpetual position: average entry, profit, funding and break-even."""

from dataclasses import dataclass, replace
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Final

PROFIT_STEP: Final = Decimal("0.00000001")
"""What settles is rounded to this, as funding is: an average entry has any number of decimals."""


@dataclass(frozen=True, slots=True)
class Position:
    """`quantity` is net, in base units, negative when short; prices and profit in quote units.

    `realised` is the profit taken so far, fees deducted and funding included; `funding` the part
    of it that funding paid in, negative when it was paid out.
    """

    symbol: str
    position_id: int
    quantity: Decimal = Decimal(0)
    entry_price: Decimal = Decimal(0)
    realised: Decimal = Decimal(0)
    funding: Decimal = Decimal(0)

    @property
    def break_even_price(self) -> Decimal:
        """Where closing all of it would leave no profit and no loss; when flat the entry."""
        if not self.quantity:
            return self.entry_price
        return self.entry_price - self.realised / self.quantity

    def unrealised(self, mark_price: Decimal) -> Decimal:
        """Profit of what is open, at `mark_price`."""
        return (mark_price - self.entry_price) * self.quantity

    def fill(self, price: Decimal, signed: Decimal, fee: Decimal) -> "PositionChange":
        """Trade `signed` base units at `price`; it must not turn the position round."""
        if self.quantity * signed < 0:
            profit = ((self.entry_price - price) * signed).quantize(PROFIT_STEP, ROUND_HALF_EVEN)
            entry = self.entry_price
        else:
            profit = Decimal(0)
            whole = self.entry_price * self.quantity + price * signed
            entry = whole / (self.quantity + signed)
        after = replace(
            self,
            quantity=self.quantity + signed,
            entry_price=entry,
            realised=self.realised + profit - fee,
        )
        return PositionChange(_kind(self, after), after, profit)

    def close(self, price: Decimal) -> "PositionChange":
        """Trade all of it away at `price`, without a fee."""
        return self.fill(price, -self.quantity, Decimal(0))

    def funded(self, amount: Decimal) -> "Position":
        """After a funding payment; `amount` is negative when the position paid."""
        return replace(self, realised=self.realised + amount, funding=self.funding + amount)


@dataclass(frozen=True, slots=True)
class PositionChange:
    """What one fill did: the event's name, the position after it, the profit without the fee."""

    kind: str
    position: Position
    profit: Decimal


def _kind(before: Position, after: Position) -> str:
    if not before.quantity:
        return "positionOpened"
    return "positionAdjusted" if after.quantity else "positionClosed"
