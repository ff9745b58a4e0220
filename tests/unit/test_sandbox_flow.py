"""The sandbox's flow is shaped like the load that was recorded on the real venue."""

from collections import Counter

import pytest

from backpack_sandbox.constants import HOUSE
from backpack_sandbox.market.book import Side
from backpack_sandbox.market.catalog import build_catalog
from backpack_sandbox.market.events import BookEvent, OrderEvent, TradeEvent
from backpack_sandbox.market.exchange import Exchange
from backpack_sandbox.market.tempo import Tempo

MODEL_SECONDS = 120
RECORDED_MEAN = 3_000
BTC = "BTC_USDC_PERP"


@pytest.fixture(scope="module")
def venue() -> tuple[Exchange, list]:
    """Two model minutes of the whole venue: the exchange after them, and (second, event)."""
    exchange = Exchange(
        build_catalog("venue"), seed=7, events_per_second=10, trades_per_second=1, bursts=True
    )
    events = [(int(due), event) for due, step in exchange.advance(MODEL_SECONDS) for event in step]
    return exchange, events


@pytest.fixture(scope="module")
def perp_depth(venue) -> list[tuple[int, BookEvent]]:
    """The depth frames of the open perpetuals."""
    _, events = venue
    perps = {
        symbol
        for symbol, market in build_catalog("venue").items()
        if market.market_type == "PERP" and market.has_trades
    }
    assert len(perps) == 91
    return [(s, e) for s, e in events if isinstance(e, BookEvent) and e.symbol in perps]


def test_the_mean_and_the_peak_of_91_perpetuals_are_the_recorded_ones(perp_depth):
    """2.8 to 3.2 k frames in a mean second, 10.4 k in the fullest; calm seconds in between."""
    seconds = Counter(second for second, _ in perp_depth)
    assert 0.8 < len(perp_depth) / MODEL_SECONDS / RECORDED_MEAN < 1.2
    assert 8_000 < max(seconds.values()) < 12_000
    assert 2_000 < min(seconds.values()) < 3_000
    assert len(seconds) == MODEL_SECONDS


def test_one_btc_depth_stream_is_as_busy_as_the_recorded_one(perp_depth):
    """About 180 frames per second."""
    assert 150 < sum(e.symbol == BTC for _, e in perp_depth) / MODEL_SECONDS < 210


def test_nearly_every_frame_holds_one_level_and_none_more_than_three(perp_depth):
    """As on the real-time streams; where there are several, their order is anyone's."""
    sizes = Counter(len(event.bids) + len(event.asks) for _, event in perp_depth)
    assert set(sizes) == {1, 2, 3}
    assert sizes[1] > 0.9 * len(perp_depth)
    several = [event.bids for _, event in perp_depth if len(event.bids) > 1]
    assert any(list(bids) != sorted(bids) for bids in several)


def test_the_books_stay_deep_and_the_spread_narrow(venue):
    """After two minutes every market has two sides of a dozen levels, a few ticks apart."""
    exchange, _ = venue
    for engine in exchange.engines.values():
        book = engine.book
        assert all(10 <= len(book.prices(side)) <= 80 for side in Side)
        assert all(book.order_counts[side] <= 200 for side in Side)
        spread = book.ranked(Side.ASK, 0) - book.ranked(Side.BID, 0)
        assert spread < max(60, 0.002 * book.ranked(Side.BID, 0))


def test_every_trade_is_between_two_orders_and_the_house_takes_and_makes(venue):
    """The house is on both sides of the tape; everyone else is anonymous."""
    _, events = venue
    assert all(
        trade.buyer_order_id != trade.seller_order_id
        for _, trade in events
        if isinstance(trade, TradeEvent)
    )
    orders = [event for _, event in events if isinstance(event, OrderEvent)]
    assert {event.order.request.account for event in orders} == {HOUSE}
    assert {event.fill.is_maker for event in orders if event.fill} == {True, False}
    assert {"orderAccepted", "orderFill", "orderCancelled"} <= {event.kind for event in orders}


def paces(seed: int) -> list[float]:
    """One hour of a tempo, second by second."""
    tempo = Tempo(seed, bursts=True)
    hour = []
    for second in range(3600):
        hour.append(tempo.busy(second + 1.0) - tempo.busy(float(second)))
        assert tempo.model(tempo.busy(second + 0.5)) == pytest.approx(second + 0.5)
        tempo.next_second()
    return hour


@pytest.mark.parametrize("seed", range(8))
def test_bursts_come_in_most_minutes_and_the_mean_stays(seed):
    """Over an hour the mean pace is 1 within a tenth, and some seconds come near the peak."""
    hour = paces(seed)
    assert 0.9 < sum(hour) / len(hour) < 1.1
    assert 3.0 < max(hour) < 3.5
    minutes = [max(hour[start : start + 60]) for start in range(0, 3600, 60)]
    assert 30 < sum(peak > 2 for peak in minutes) < 60


def test_without_bursts_busy_time_is_model_time():
    """The small profile moves steadily, as it always did."""
    tempo = Tempo(7, bursts=False)
    for second in range(3):
        assert tempo.busy(second + 0.25) == second + 0.25
        assert tempo.model(second + 0.75) == second + 0.75
        tempo.next_second()


def test_with_bursts_the_events_do_not_depend_on_how_time_is_sliced():
    """Ids, prices, order and model times are the same for any ticks of the wall clock."""

    def history(chunk_seconds: float) -> list:
        exchange = Exchange(
            build_catalog(), seed=3, events_per_second=10, trades_per_second=1, bursts=True
        )
        turns = range(1, int(12 / chunk_seconds) + 1)
        return [step for turn in turns for step in exchange.advance(turn * chunk_seconds)]

    assert history(0.25) == history(6.0)
