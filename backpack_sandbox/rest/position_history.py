"""Positions over time and what they settled, folded from the fills of perpetuals."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal

from backpack_sandbox.account.funding import FundingPayment
from backpack_sandbox.account.history import FillRecord
from backpack_sandbox.account.portfolio import FIRST_POSITION_ID
from backpack_sandbox.account.positions import Position
from backpack_sandbox.market.book import Side
from backpack_sandbox.market.catalog import Market


@dataclass(slots=True)
class PastPosition:
    """One position from its first fill on; `closed_us` and `closing_price` once it is flat.

    `profit` is without fees and funding; `closed_volume` the notional of the fills that reduced
    it, in quote units.
    """

    position: Position
    opened_us: int
    fees: Decimal = Decimal(0)
    profit: Decimal = Decimal(0)
    closed_volume: Decimal = Decimal(0)
    closed_us: int | None = None
    closing_price: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Settlement:
    """One change of USDC by a position: a fee, or a profit or loss that was realised."""

    source: str
    amount: Decimal
    time_us: int


class PositionFold:
    """All positions of one account, oldest first, and the settlements of their fills."""

    def __init__(self) -> None:
        self.positions: list[PastPosition] = []
        self.settlements: list[Settlement] = []
        self._open: dict[str, PastPosition] = {}

    @classmethod
    def of(
        cls,
        catalog: Mapping[str, Market],
        fills: Iterable[FillRecord],
        fundings: Iterable[FundingPayment],
    ) -> "PositionFold":
        """Both oldest first, fills of perpetuals only."""
        fold = cls()
        payments = list(fundings)
        for record in fills:
            while payments and payments[0].interval_end_us <= record.time_us:
                fold.fund(payments.pop(0))
            fold.fill(catalog[record.order.symbol], record)
        for payment in payments:
            fold.fund(payment)
        return fold

    def fill(self, market: Market, record: FillRecord) -> None:
        """Follow one fill; one that turns a position round ends it and begins another."""
        price = market.price_grid.value(record.fill.price)
        quantity = market.quantity_grid.value(record.fill.quantity)
        signed = quantity if record.order.request.side is Side.BID else -quantity
        past = self._open.get(market.symbol)
        if (
            past
            and past.position.quantity * signed < 0
            and abs(signed) > abs(past.position.quantity)
        ):
            signed += past.position.quantity
            self._trade(past, -past.position.quantity, price, Decimal(0), record.time_us)
            past = None
        if past is None:
            past = self._open_new(market.symbol, record.time_us)
        self._trade(past, signed, price, record.fee, record.time_us)

    def fund(self, payment: FundingPayment) -> None:
        """Follow one funding payment; that of a position whose fills are forgotten is passed."""
        if past := self._open.get(payment.symbol):
            past.position = past.position.funded(payment.amount)

    def _open_new(self, symbol: str, time_us: int) -> PastPosition:
        number = FIRST_POSITION_ID + len(self.positions) + 1
        past = PastPosition(Position(symbol, number), time_us)
        self.positions.append(past)
        self._open[symbol] = past
        return past

    def _trade(
        self, past: PastPosition, signed: Decimal, price: Decimal, fee: Decimal, time_us: int
    ) -> None:
        change = past.position.fill(price, signed, fee)
        if past.position.quantity * signed < 0:
            past.closed_volume += abs(signed) * price
        past.position = change.position
        past.fees += fee
        past.profit += change.profit
        if fee:
            self.settlements.append(Settlement("TradingFees", -fee, time_us))
        if change.profit:
            self.settlements.append(Settlement("RealizePnl", change.profit, time_us))
        if not change.position.quantity:
            past.closed_us, past.closing_price = time_us, price
            del self._open[past.position.symbol]
