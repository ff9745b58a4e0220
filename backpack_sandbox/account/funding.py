"""The hourly payment between the longs and the shorts of a perpetual."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any, Final

from backpack_sandbox.account.positions import Position
from backpack_sandbox.constants import MICROSECONDS
from backpack_sandbox.market.catalog import Market
from backpack_sandbox.market.perpetuals import FUNDING_INTERVAL_SECONDS, Perpetuals

AMOUNT_STEP: Final = Decimal("0.00000001")
FUNDING_LINES: Final = "sandbox.fundingPayment"
"""Where a private frame has its stream: the ledger keeps payments, the venue has no such stream."""


@dataclass(frozen=True, slots=True)
class FundingPayment:
    """What one position paid or got at the end of an interval.

    `quantity` is signed base units, `rate` the fraction of the notional at `mark_price`; `amount`
    in quote units is negative when the account paid. `interval_end_us` is a full hour, unix µs.
    """

    symbol: str
    quantity: Decimal
    rate: Decimal
    mark_price: Decimal
    amount: Decimal
    interval_end_us: int


def payment_due(
    position: Position, rate: Decimal, mark_price: Decimal, interval_end_us: int
) -> FundingPayment:
    """With a positive `rate` longs pay shorts."""
    owed = position.quantity * mark_price * rate
    return FundingPayment(
        symbol=position.symbol,
        quantity=position.quantity,
        rate=rate,
        mark_price=mark_price,
        amount=-owed.quantize(AMOUNT_STEP, ROUND_HALF_EVEN),
        interval_end_us=interval_end_us,
    )


def funding_data(payment: FundingPayment) -> dict[str, Any]:
    """The payment as the ledger keeps it."""
    return {
        "M": str(payment.mark_price),
        "e": "fundingPayment",
        "f": str(payment.rate),
        "n": str(payment.amount),
        "q": str(payment.quantity),
        "s": payment.symbol,
        "w": payment.interval_end_us,
    }


def read_funding(data: Mapping[str, Any]) -> FundingPayment:
    """The payment that gave `data`; KeyError, TypeError or ArithmeticError when none did."""
    return FundingPayment(
        symbol=data["s"],
        quantity=Decimal(data["q"]),
        rate=Decimal(data["f"]),
        mark_price=Decimal(data["M"]),
        amount=Decimal(data["n"]),
        interval_end_us=data["w"],
    )


class FundingClock:
    """Says what is due when an hour of the engine's time is over.

    The hours in which the venue did not run are not made up for [inferred].
    """

    def __init__(self, catalog: Mapping[str, Market], perpetuals: Perpetuals) -> None:
        self._catalog = catalog
        self._perpetuals = perpetuals
        self._interval: int | None = None

    def hour_is_over(self, engine_us: int) -> bool:
        """True once for each full hour that went by."""
        before, self._interval = self._interval, _interval(engine_us)
        return before is not None and before < self._interval

    def payments(
        self, positions: Iterable[Position], second: int, engine_us: int
    ) -> list[FundingPayment]:
        """What each position pays for the interval that ended before `engine_us`.

        `second` is the model's. The rate and the mark are those that the markPrice stream tells.
        """
        end_us = _interval(engine_us) * FUNDING_INTERVAL_SECONDS * MICROSECONDS
        payments: list[FundingPayment] = []
        for position in positions:
            mark = self._perpetuals.mark_price(position.symbol, second, end_us - 1)
            if mark is not None:
                price = self._catalog[position.symbol].price_grid.value(mark.price)
                payments.append(payment_due(position, mark.funding_rate, price, end_us))
        return payments


def _interval(engine_us: int) -> int:
    return engine_us // (FUNDING_INTERVAL_SECONDS * MICROSECONDS)
