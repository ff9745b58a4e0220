"""The listing of both profiles, held against what was counted at the real venue."""

from collections import Counter

import pytest

from backpack_sandbox.market.catalog import PROFILES, build_catalog
from backpack_sandbox.rest.listing import market_body
from tests.support.backpack_fixtures import load_fixture
from tests.support.shapes import Shape

RECORDED = next(x for x in load_fixture("rest")["exchanges"] if x["name"] == "markets")["json"]
SMALL, VENUE = build_catalog("small"), build_catalog("venue")


def test_the_venue_has_as_many_markets_of_each_kind_as_were_counted():
    """103 perpetuals: 91 open, 11 closed, one post-only (protocol, 4.1)."""
    counted = Counter((m.market_type, m.state) for m in VENUE.values())
    assert counted["PERP", "Open"] == 91
    assert counted["PERP", "Closed"] == 11
    assert counted["PERP", "PostOnly"] == 1
    assert counted["SPOT", "Closed"] == 1
    assert counted.total() == 124


def test_the_activity_of_the_venue_is_the_recorded_load():
    """At ten events a second: 3,000 frames over the 91, 180 of them of BTC."""
    rates = {
        s: m.activity * 10 for s, m in VENUE.items() if m.market_type == "PERP" and m.has_trades
    }
    assert sum(rates.values()) == pytest.approx(3000, rel=0.01)
    assert rates["BTC_USDC_PERP"] == pytest.approx(180) == max(rates.values())


def test_the_names_hold_every_trap_of_the_real_ones():
    """A lower-case k, digits in front, dots inside, and hidden markets."""
    expected = {
        "kPEPE_USDC_PERP", "kBONK_USDC_PERP", "kSHIB_USDC_PERP", "0G_USDC_PERP", "2Z_USDC",
        "AAPL.US_USDC_PERP", "MU.US_USDC", "BRK.B.US_USDC_PERP", "HNT_USDC",
    }  # fmt: skip
    assert expected <= VENUE.keys()
    assert {m.rwa for m in VENUE.values()} == {None, "STOCK", "INDEX", "COMMODITY", "FX"}
    assert {m.state for m in VENUE.values() if not m.visible} >= {"Open", "PostOnly"}


def test_the_small_profile_is_part_of_the_venue_with_the_same_ids():
    """A ledger of one can go on under the other."""
    for symbol, market in SMALL.items():
        same = VENUE[symbol]
        assert market.first_trade_id == same.first_trade_id
        assert market.first_update_id == same.first_update_id
        assert market.price_grid.text == same.price_grid.text
        assert market.quantity_grid.text == same.quantity_grid.text


@pytest.mark.parametrize("profile", PROFILES)
def test_prices_lie_on_their_grids_with_room_below(profile):
    """Enough ticks for a book, enough steps for an order."""
    for market in build_catalog(profile).values():
        ticks = market.price_grid.count(market.price)
        assert market.price_grid.value(ticks) == market.price
        assert ticks > 500
        assert market.typical_order_steps >= 10


def test_every_listed_market_has_the_recorded_shape():
    """Null only where null was recorded."""
    shape = Shape(RECORDED)
    for market in VENUE.values():
        body = market_body(market)
        assert not list(shape.faults(body)), market.symbol
    bounds = {market_body(m)["fundingRateUpperBound"] for m in VENUE.values()}
    intervals = {market_body(m)["fundingInterval"] for m in VENUE.values()}
    assert bounds == {None, "100", "150"}
    assert intervals == {None, 3_600_000, 28_800_000}
