"""Markets get cryptofeed's names, and what cannot be named is counted."""

import json
from decimal import Decimal

import pytest

from backpack_feed.wire.decode import decode_markets
from backpack_feed.wire.messages import MarketRow
from backpack_feed.wire.symbols import market_name, symbol_table
from tests.support.backpack_fixtures import load_fixture

REST = {exchange["name"]: exchange for exchange in load_fixture("rest")["exchanges"]}


def row(symbol: str, base: str, quote: str, market_type: str, **changes) -> MarketRow:
    return MarketRow(symbol=symbol, base=base, quote=quote, market_type=market_type, **changes)


@pytest.mark.parametrize(
    ("base", "kind", "symbol", "name"),
    [
        ("SOL", "SPOT", "SOL_USDC", "SOL-USDC"),
        ("SOL", "PERP", "SOL_USDC_PERP", "SOL-USDC-PERP"),
        ("kPEPE", "PERP", "kPEPE_USDC_PERP", "kPEPE-USDC-PERP"),
        ("0G", "PERP", "0G_USDC_PERP", "0G-USDC-PERP"),
        ("AAPL.US", "PERP", "AAPL.US_USDC_PERP", "AAPL.US-USDC-PERP"),
        ("BRK.B.US", "SPOT", "BRK.B.US_USDC", "BRK.B.US-USDC"),
        ("AAPL.US", "RFQ", "AAPL.US_USDC_RFQ", None),
        ("BTC", "DATED", "BTC_USDC_270101", None),
        ("FDVEXTD1B", "PREDICTION", "FDVEXTD1B_USDC_PREDICTION", None),
    ],
)
def test_a_market_is_named_from_base_quote_and_type(base, kind, symbol, name):
    """Lower-case k, digits and dots stay; types without a cryptofeed name are skipped."""
    assert market_name(row(symbol, base, "USDC", kind)) == name


def test_the_table_counts_what_it_skips():
    """An unknown market type is visible and harmless."""
    table = symbol_table(
        [row("A_USDC", "A", "USDC", "SPOT"), *[row(f"M{i}", "M", "USDC", "MONAD") for i in "12"]]
    )
    assert table.to_venue == {"A-USDC": "A_USDC"}
    assert table.skipped == {"MONAD": 2}


@pytest.mark.parametrize("name", ["markets", "markets_drift"])
def test_recorded_markets_are_named_without_collision(name):
    """Spot and perpetual of one base keep two names."""
    rows, _ = decode_markets(json.dumps(REST[name]["json"]).encode())
    table = symbol_table(rows)
    named = [r for r in rows if market_name(r)]
    assert len(table.to_venue) == len(named) > 1
    assert sorted(table.to_venue.values()) == sorted(r.symbol for r in named)


def test_the_table_tells_what_cryptofeeds_info_carries():
    """Type, tick and step per symbol, from the venue's filters."""
    rows, _ = decode_markets(json.dumps(REST["markets"]["json"]).encode())
    info = symbol_table(rows).info()
    assert info["instrument_type"]["SOL-USDC"] == "spot"
    assert info["tick_size"]["SOL-USDC"] == info["step"]["SOL-USDC"] == Decimal("0.01")
    assert "perpetual" in info["instrument_type"].values()


@pytest.mark.parametrize(
    "filters",
    [{}, {"price": None}, {"price": {"tickSize": None}}, {"price": {"tickSize": "NaN"}},
     {"price": {"tickSize": "-1"}}, {"price": {"tickSize": []}}, {"price": "0.01"}],
)  # fmt: skip
def test_drift_in_a_filter_costs_the_step_and_not_the_market(filters):
    """An absent or unusable step is left out."""
    table = symbol_table([row("A_USDC", "A", "USDC", "SPOT", filters=filters)])
    assert table.to_venue == {"A-USDC": "A_USDC"}
    assert table.info()["tick_size"] == {}
