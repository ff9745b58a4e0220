"""The rolling day against a plain count over all trades."""

from random import Random

import pytest

from backpack_sandbox.streams.candles import Candle
from backpack_sandbox.streams.day_statistics import DAY_US, DayStatistics

MINUTE_US = 60_000_000
START_US = 1_790_900_000_000_000 // MINUTE_US * MINUTE_US


def counted(trades: list[tuple[int, int, int]], now_us: int) -> Candle | None:
    """A trade counts as long as its minute ended within the last 24 hours."""
    left = [t for t in trades if t[0] // MINUTE_US * MINUTE_US + MINUTE_US > now_us - DAY_US]
    if not left:
        return None
    prices = [price for _, price, _ in left]
    return Candle(
        start_us=left[0][0] // MINUTE_US * MINUTE_US,
        end_us=left[-1][0] // MINUTE_US * MINUTE_US + MINUTE_US,
        open=prices[0],
        high=max(prices),
        low=min(prices),
        close=prices[-1],
        volume=sum(quantity for _, _, quantity in left),
        notional=sum(price * quantity for _, price, quantity in left),
        trades=len(left),
    )


@pytest.mark.parametrize("seed", range(20))
def test_the_summary_is_the_count_over_every_trade_of_the_day_at_any_time(seed):
    """Asked between trades, after long silences, and when the day has run out."""
    dice = Random(seed)
    day, trades, now_us = DayStatistics(), [], START_US
    for _ in range(300):
        now_us += dice.choice([0, 1_000, MINUTE_US // 3, 7 * MINUTE_US, DAY_US // 5])
        if dice.random() < 0.7:
            trade = (now_us, dice.randrange(1, 50), dice.randrange(1, 9))
            trades.append(trade)
            day.add(*trade)
        if dice.random() < 0.5:
            assert day.summary(now_us) == counted(trades, now_us)
    assert day.summary(now_us + 2 * DAY_US) is None


def test_a_summary_is_the_callers_own():
    """To change one changes nothing that is told later."""
    day = DayStatistics()
    day.add(START_US, 10, 1)
    first = day.summary(START_US)
    assert first is not None
    first.volume = 99
    assert day.summary(START_US) == counted([(START_US, 10, 1)], START_US)
