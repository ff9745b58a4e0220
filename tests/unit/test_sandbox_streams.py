"""Candles, day statistics and the frames that come by the clock, against recorded ones."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from random import Random

import pytest

from backpack_sandbox.account.portfolio import Balance
from backpack_sandbox.account.positions import Position
from backpack_sandbox.faults.effects.schema import drift
from backpack_sandbox.market.book import Side
from backpack_sandbox.market.catalog import build_catalog
from backpack_sandbox.market.events import LiquidationEvent
from backpack_sandbox.market.exchange import Exchange
from backpack_sandbox.market.perpetuals import MarkPrice, Perpetuals, next_funding_ms
from backpack_sandbox.streams.account_frames import balance_frame, position_body, position_frame
from backpack_sandbox.streams.candles import INTERVALS, Candle, empty_candle, naive_iso
from backpack_sandbox.streams.day_statistics import DayStatistics
from backpack_sandbox.streams.market_frames import MarketFrames
from backpack_sandbox.streams.wire import WireEncoder
from tests.support.backpack_fixtures import load_fixture, schema_violations

CATALOG = build_catalog()
PUBLIC = {f["name"]: f["raw"] for f in load_fixture("ws_public_frames")["frames"]}
PRIVATE = {f["name"]: f["raw"] for f in load_fixture("ws_private_frames")["frames"]}
REST = {x["name"]: x.get("json") for x in load_fixture("rest")["exchanges"]}
SOL = MarketFrames(CATALOG["SOL_USDC"])
EVENT_US = 1790900001026313


def us(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * 1_000_000


def candle(interval: str, at: str) -> Candle:
    return replace(
        empty_candle(interval, us(at)),
        open=9895,
        high=9901,
        low=9890,
        close=9898,
        volume=514,
        trades=3,
    )


def test_a_final_kline_is_byte_for_byte_the_recorded_one():
    """Naive UTC from start to exclusive end, the interval only in the stream's name."""
    frame = SOL.kline(
        "kline.1m.SOL_USDC", candle("1m", "2026-09-02T16:44:31"), EVENT_US, final=True
    )
    assert frame.decode() == PUBLIC["kline_1m_final"]


def test_a_kline_without_trades_has_null_prices():
    """And a bare zero for its volume."""
    empty = empty_candle("1m", us("2026-09-02T16:45:00"))
    frame = SOL.kline("kline.1m.SOL_USDC", empty, EVENT_US, final=False)
    assert frame.decode() == PUBLIC["kline_no_trades"]


def test_a_month_runs_from_its_first_day_to_the_next_one():
    """The interval is spelled 1month; BTC has another step, so only the times can be the same."""
    frame = SOL.kline(
        "kline.1month.SOL_USDC", candle("1month", "2026-09-30T23:59:59"), EVENT_US, final=False
    )
    recorded = json.loads(PUBLIC["kline_1month"])["data"]
    data = json.loads(frame)["data"]
    assert (data["t"], data["T"]) == (recorded["t"], recorded["T"])
    december = empty_candle("1month", us("2026-12-31T23:00:00"))
    assert naive_iso(december.end_us) == "2027-01-01T00:00:00"


def test_a_ticker_is_byte_for_byte_the_recorded_one():
    """No T, no bid and ask; n is an int."""
    day = Candle(0, 0, 10087, 10119, 9738, 9898, 1519012, 15022334455, 6811)
    assert SOL.ticker(day, EVENT_US).decode() == PUBLIC["ticker"]


def test_mark_price_and_open_interest_are_byte_for_byte_the_recorded_ones():
    """The next funding alone is in ms; the index has eight decimals; open interest has no T."""
    frames = MarketFrames(CATALOG["SOL_USDC_PERP"])
    mark = MarkPrice(9894, Decimal("98.95112233"), Decimal("0.0000125"), 1790902800000)
    assert frames.mark_price(mark, EVENT_US, 1790900001025530).decode() == PUBLIC["markPrice"]
    falling = replace(mark, funding_rate=Decimal("-0.000031"))
    frame = frames.mark_price(falling, EVENT_US, 1790900001025530)
    assert frame.decode() == PUBLIC["markPrice_negative_rate"]
    assert frames.open_interest(20652968, EVENT_US).decode() == PUBLIC["openInterest"]


def test_a_liquidation_goes_to_the_stream_of_all_markets_and_to_that_of_its_own():
    """The documented frame, its quantity padded to the step as everywhere on the socket."""
    event = LiquidationEvent("SOL_USDC_PERP", Side.BID, 9811, 1000)
    whole, scoped = WireEncoder(CATALOG["SOL_USDC_PERP"]).liquidation(
        event, EVENT_US, 1790900001025413
    )
    assert whole.decode() == PUBLIC["liquidation"].replace('"10"', '"10.00"')
    assert json.loads(scoped)["stream"] == "liquidation.SOL_USDC_PERP"


def test_a_balance_frame_is_byte_for_byte_the_recorded_one():
    """Absolute amounts, without padding."""
    balance = Balance("USDT", Decimal("10.00"), Decimal(20))
    frame = balance_frame(balance, 1790900001063168, 1790900001062981)
    assert frame.decode() == PRIVATE["balance_update_1"]


@pytest.mark.parametrize("kind", ["", "positionOpened", "positionClosed"])
def test_a_position_frame_has_the_recorded_fields_and_no_e_at_first_sight(kind):
    """Decimals are strings, the id an int; the REST row tells the same."""
    quantity = Decimal(0) if kind == "positionClosed" else Decimal("-0.01")
    position = Position("SOL_USDC_PERP", 28600000017, quantity, Decimal("126.97"), Decimal("-0.01"))
    frame = position_frame(
        "account.positionUpdate", position, Decimal("120.96"), kind=kind, event_us=2, engine_us=1
    )
    message = json.loads(frame)
    data = message["data"]
    assert frame.decode() == json.dumps(message, separators=(",", ":"), sort_keys=True)
    assert schema_violations("account.positionUpdate", data) == []
    assert data.get("e", "") == kind
    assert (data["q"], data["M"], data["B"]) == (str(quantity), "120.96", "126.97")
    body = position_body(position, Decimal("120.96"))
    assert body.keys() == REST["positions"][0].keys()
    assert [type(body[key]) for key in body] == [type(REST["positions"][0][key]) for key in body]


@pytest.mark.parametrize("name", ["ticker", "kline_no_trades", "markPrice", "balance_update_1"])
def test_schema_drift_damages_the_frames_of_every_stream(name):
    """Also those that carry no symbol: a required field is gone or of another type."""
    frame = (PUBLIC | PRIVATE)[name]
    kind = json.loads(frame)["stream"].partition(".SOL")[0].partition(".1m")[0]
    for seed in range(20):
        data = json.loads(drift(frame.encode(), Random(seed)))["data"]
        assert schema_violations(kind, data) != []


@pytest.mark.parametrize("interval", sorted(INTERVALS))
@pytest.mark.parametrize(
    "at", ["2026-09-02T16:44:31", "2024-02-29T23:59:59", "2026-01-01T00:00:00"]
)
def test_intervals_hold_their_moment_and_follow_each_other_without_a_hole(interval, at):
    """The end is exclusive and the start of the next one."""
    here = empty_candle(interval, us(at))
    assert here.start_us <= us(at) < here.end_us
    assert empty_candle(interval, here.end_us).start_us == here.end_us
    assert empty_candle(interval, here.end_us - 1) == here


def test_a_week_begins_on_monday():
    """2026-09-02 is a Wednesday."""
    assert (
        naive_iso(empty_candle("1w", us("2026-09-02T16:44:31")).start_us) == "2026-08-31T00:00:00"
    )


def test_day_statistics_forget_a_trade_after_24_hours_with_its_minute():
    """First, last, highest and lowest price of what is left; None when nothing is."""
    day, start = DayStatistics(), us("2026-09-02T00:00:30")
    for offset, price in ((0, 50), (3600, 90), (7200, 40), (86_000, 60)):
        day.add(start + offset * 1_000_000, price, 2)
    whole = day.summary(start + 86_000 * 1_000_000)
    assert (whole.open, whole.high, whole.low, whole.close, whole.trades) == (50, 90, 40, 60, 4)
    later = day.summary(start + (86_400 + 60) * 1_000_000)
    assert (later.open, later.high, later.low, later.close, later.volume) == (90, 90, 40, 60, 6)
    assert later.notional == 2 * (90 + 40 + 60)
    assert day.summary(start + 3 * 86_400 * 1_000_000) is None


def test_the_next_funding_is_the_next_full_hour():
    """Never the present one."""
    assert next_funding_ms(us("2026-09-02T16:44:31")) == us("2026-09-02T17:00:00") // 1000
    assert next_funding_ms(us("2026-09-02T17:00:00")) == us("2026-09-02T18:00:00") // 1000


def test_mark_prices_depend_on_seed_second_and_book_alone():
    """Every perpetual with a book has one, near its index, its rate within the bounds."""
    exchanges = [Exchange(CATALOG, seed=5, events_per_second=5, trades_per_second=1) for _ in "ab"]
    for exchange in exchanges:
        for _ in exchange.advance(10):
            pass
    first, second = (Perpetuals(exchange.engines, 5) for exchange in exchanges)
    symbols = [
        s for s, market in CATALOG.items() if market.market_type == "PERP" and market.has_book
    ]
    assert list(first) == symbols
    assert "SOL_USDC" not in first
    for symbol in symbols:
        mark = first.mark_price(symbol, 10, EVENT_US)
        assert mark == second.mark_price(symbol, 10, EVENT_US)
        price = CATALOG[symbol].price_grid.value(mark.price)
        assert abs(price - mark.index_price) / price < Decimal("0.001")
        assert abs(mark.funding_rate) <= Decimal("0.01")
        assert first.open_interest(symbol, 60) > 0
        assert first.mark_price(symbol, 400, EVENT_US).index_price != mark.index_price


def test_seconds_go_by_between_the_events_of_the_markets():
    """Each whole second once, in order, however time is sliced."""
    seen = []
    for slices in ([3.0, 7.5], [0.4 * n for n in range(1, 19)] + [7.5]):
        exchange = Exchange(CATALOG, seed=5, events_per_second=5, trades_per_second=1)
        lags: list[tuple[int, float]] = []
        exchange.on_second = lambda second, lag, lags=lags: lags.append((second, lag))
        for until in slices:
            for _ in exchange.advance(until):
                pass
        seen.append([second for second, _ in lags])
        assert all(lag >= 0 for _, lag in lags)
    assert seen == [list(range(1, 8))] * 2
