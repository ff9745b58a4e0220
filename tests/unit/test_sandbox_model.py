"""The sandbox's markets: reproducible, and with the traps of the real listing."""

from backpack_sandbox.market.catalog import build_catalog
from backpack_sandbox.market.exchange import Exchange

CATALOG = build_catalog()


def history(seed: int, chunk_seconds: float) -> list:
    exchange = Exchange(CATALOG, seed=seed, events_per_second=10, trades_per_second=1)
    events = []
    for turn in range(int(12 / chunk_seconds)):
        events += list(exchange.advance((turn + 1) * chunk_seconds))
    return events


def test_the_same_seed_gives_the_same_events_however_time_is_sliced():
    """Ids, prices, order and model times do not depend on the wall clock's ticks."""
    assert history(7, 0.5) == history(7, 4.0)


def test_another_seed_gives_other_events():
    """The seed is what decides."""
    assert history(7, 4.0) != history(8, 4.0)


def test_the_rates_are_those_asked_for():
    """About ten book events and one trade per second of an ordinary market."""
    exchange = Exchange(CATALOG, seed=1, events_per_second=10, trades_per_second=1)
    for _ in exchange.advance(120):
        pass
    engine = exchange.engines["SOL_USDC"]
    assert 8 < (engine.last_update_id - CATALOG["SOL_USDC"].first_update_id) / 120 < 13
    assert 0.7 < (engine.last_trade_id - CATALOG["SOL_USDC"].first_trade_id) / 120 < 2.5


def test_the_catalogue_holds_the_traps_of_the_real_one():
    """Lower-case k, dots and digits in names, closed, post-only and hidden markets."""
    assert {"kPEPE_USDC_PERP", "AAPL.US_USDC_PERP", "0G_USDC_PERP", "SOL_USDC"} <= set(CATALOG)
    assert {market.state for market in CATALOG.values()} == {"Open", "PostOnly", "Closed"}
    assert {market.visible for market in CATALOG.values()} == {True, False}
    assert sum(market.state == "Open" for market in CATALOG.values()) == 20


def test_a_post_only_market_quotes_but_never_trades():
    """And its ids start far from zero, like everyone's."""
    exchange = Exchange(CATALOG, seed=1, events_per_second=10, trades_per_second=5)
    for _ in exchange.advance(60):
        pass
    engine = exchange.engines["MSFT.US_USDC_PERP"]
    assert engine.last_update_id > engine.market.first_update_id
    assert engine.last_trade_id == engine.market.first_trade_id > 99_500_000
