"""Messages become cryptofeed's types under cryptofeed's names."""

import json
from decimal import Decimal

import pytest

from backpack_feed.wire.decode import decode, decode_markets
from backpack_feed.wire.messages import MarketRow
from backpack_feed.wire.normalise import market_name, symbol_table, to_order_update, to_trade
from tests.support.backpack_fixtures import load_fixture

FRAMES = load_fixture("ws_public_frames")["frames"]
PRIVATE = {frame["name"]: frame for frame in load_fixture("ws_private_frames")["frames"]}
TRADES = [f for f in FRAMES if f["stream"].startswith("trade.") and f["expect"]]
DELTAS = [f for f in FRAMES if f["stream"].startswith("depth.") and f["expect"]]
REST = {exchange["name"]: exchange for exchange in load_fixture("rest")["exchanges"]}


def row(symbol: str, base: str, quote: str, market_type: str) -> MarketRow:
    return MarketRow(symbol=symbol, base=base, quote=quote, market_type=market_type)


def order(name: str):
    return to_order_update(decode(PRIVATE[name]["raw"]), "USDT-USDC")


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


@pytest.mark.parametrize("case", TRADES, ids=lambda c: c["name"])
def test_a_trade_has_the_takers_side_and_the_engines_time(case):
    """`m` true: the buyer is the maker, so the taker sold; the time is T and not E."""
    expect = case["expect"]
    trade = to_trade(decode(case["raw"]), expect["symbol"])
    assert (trade.exchange, trade.symbol, trade.id) == ("BACKPACK", expect["symbol"], expect["id"])
    assert trade.side == expect["side"]
    assert (trade.price, trade.amount) == (Decimal(expect["price"]), Decimal(expect["amount"]))
    assert trade.timestamp == float(expect["timestamp_s"])


def test_a_trade_from_rest_is_marked():
    """Latency of the wire must not be measured on it."""
    message = decode(TRADES[0]["raw"])
    assert to_trade(message, "BTC-USDC-PERP").type is None
    assert to_trade(message, "BTC-USDC-PERP", backfilled=True).type == "backfill"


@pytest.mark.parametrize("case", DELTAS, ids=lambda c: c["name"])
def test_a_delta_has_the_recorded_levels_and_ids(case):
    """Compared by value."""
    expect, message = case["expect"], decode(case["raw"])
    if "sequence" in expect:
        assert [message.first_id, message.last_id] == expect["sequence"]
    for side in ("bids", "asks"):
        if side in expect:
            wanted = [(Decimal(p), Decimal(q)) for p, q in expect[side]]
            assert list(getattr(message, side)) == wanted


@pytest.mark.parametrize(
    "name", [name for name, f in PRIVATE.items() if "order" in name and f["expect"]]
)
def test_an_order_event_is_normalised(name):
    """Z is the total filled, l only the last fill; null t is no fill."""
    expect, update = PRIVATE[name]["expect"], order(name)
    plain = update.to_dict()
    for key in ("id", "status", "side", "order_type"):
        if key in expect:
            assert plain[key] == expect[key]
    for key in ("price", "amount", "filled", "remaining"):
        if key in expect:
            assert plain[key] == Decimal(expect[key])
    for key, value in expect.get("fill", {}).items():
        wanted = Decimal(value) if key in ("price", "amount", "fee") else value
        assert plain[f"fill_{key}"] == wanted
    assert (update.fill is None) == ("fill" not in name)


@pytest.mark.parametrize(
    ("name", "key", "value"),
    [
        ("order_expired_post_only", "reason", "PostOnlyTaker"),
        ("order_fill_market_taker", "price", None),
        ("order_fill_market_taker", "fill_liquidity", "taker"),
        ("order_with_client_id_and_tpsl", "client_id", 4294967295),
        ("trigger_placed_percent", "status", "trigger_pending"),
        ("trigger_failed", "status", "trigger_failed"),
        ("order_modified_reduce_only", "event", "orderModified"),
    ],
)
def test_order_details_survive(name, key, value):
    """What the golden frames carry beyond the common fields."""
    assert order(name).to_dict()[key] == value


def test_an_unknown_order_state_is_passed_through():
    """The venue adds states without notice."""
    raw = PRIVATE["order_accepted"]["raw"].replace('"New"', '"Suspended"')
    assert to_order_update(decode(raw), "USDT-USDC").status == "Suspended"


def test_to_dict_converts_numbers_and_none_as_asked():
    """The contract of cryptofeed's own types."""
    plain = order("order_accepted").to_dict(numeric_type=str, none_to="")
    assert (plain["price"], plain["fill_id"], plain["reason"]) == ("1.0081", "", "")
