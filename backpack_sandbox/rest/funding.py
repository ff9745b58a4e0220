"""The funding rates of past hours: those that were settled while the venue ran, the others drawn.

Rates from before are a function of the seed, the market and the hour: the same whenever they are
asked for.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from random import Random
from typing import Final

from backpack_sandbox.constants import MICROSECONDS
from backpack_sandbox.market.catalog import Market
from backpack_sandbox.market.decimals import plain
from backpack_sandbox.market.perpetuals import (
    FUNDING_INTERVAL_SECONDS,
    INTEREST_RATE,
    Perpetuals,
    bounded_rate,
)
from backpack_sandbox.rest.listing import CREATED_AT
from backpack_sandbox.streams.candles import naive_iso

NINE_DECIMALS: Final = Decimal("0.000000001")
PREMIUM_SPREAD: Final = 0.00002
_FIRST_HOUR: Final = (
    int(datetime.fromisoformat(CREATED_AT).replace(tzinfo=UTC).timestamp())
    // FUNDING_INTERVAL_SECONDS
    + 1
)


def finished_hours(now_seconds: float) -> int:
    """How many funding intervals are over since the market began."""
    return max(0, int(now_seconds) // FUNDING_INTERVAL_SECONDS - _FIRST_HOUR + 1)


def funding_row(market: Market, rate: Decimal, end_seconds: int) -> dict[str, str]:
    """One row of `/fundingRates`; the rate is a fraction per interval, cut to nine decimals."""
    return {
        "fundingRate": plain(rate.quantize(NINE_DECIMALS)),
        "intervalEndTimestamp": naive_iso(end_seconds * MICROSECONDS),
        "symbol": market.symbol,
    }


class FundingRates:
    """The rate of every finished interval. `seed` is the venue's."""

    def __init__(self, perpetuals: Perpetuals, seed: int) -> None:
        self._perpetuals = perpetuals
        self._seed = seed
        self._settled: dict[tuple[str, int], Decimal] = {}
        self._hour: int | None = None

    def tick(self, second: int, engine_seconds: float) -> None:
        """The model's `second` is over: keep the rates when an interval ended with it."""
        hour = int(engine_seconds) // FUNDING_INTERVAL_SECONDS
        before, self._hour = self._hour, hour
        if before is None or before >= hour:
            return
        end_us = hour * FUNDING_INTERVAL_SECONDS * MICROSECONDS
        for symbol in self._perpetuals:
            mark = self._perpetuals.mark_price(symbol, second, end_us - 1)
            if mark is not None:
                self._settled[symbol, hour] = mark.funding_rate

    def rows(self, market: Market, now_seconds: float, places: range) -> Iterator[dict[str, str]]:
        """Rows of the finished intervals at `places`, counted from the newest, which is 0."""
        newest = int(now_seconds) // FUNDING_INTERVAL_SECONDS
        for place in places:
            hour = newest - place
            rate = self._settled.get((market.symbol, hour))
            if rate is None:
                rate = _drawn(market, self._seed, hour)
            yield funding_row(market, rate, hour * FUNDING_INTERVAL_SECONDS)


def _drawn(market: Market, seed: int, hour: int) -> Decimal:
    # S311 is about secrets; here a reproducible figure is the point
    premium = Random(f"{seed}:{market.symbol}:funding:{hour}").gauss(0.0, PREMIUM_SPREAD)  # noqa: S311
    return bounded_rate(market, INTEREST_RATE + Decimal(f"{premium:.9f}"))
