"""Bodies of REST answers become the shapes of the streams, or a typed error."""

import json
from decimal import Decimal

import pytest

from backpack_feed.errors import DecodeError
from backpack_feed.wire.decode import (
    decode_capital,
    decode_depth_snapshot,
    decode_fills,
    decode_klines,
    decode_markets,
    decode_positions,
    decode_rest_trades,
)
from tests.support.backpack_fixtures import load_fixture

REST = {exchange["name"]: exchange for exchange in load_fixture("rest")["exchanges"]}


@pytest.mark.parametrize("name", ["depth", "depth_int_last_update_id"])
def test_a_snapshot_id_is_read_as_string_and_as_number(name):
    """`lastUpdateId` is a string on the wire and a number in places."""
    snapshot = decode_depth_snapshot(json.dumps(REST[name]["json"]).encode())
    assert snapshot.last_update_id == int(REST[name]["json"]["lastUpdateId"])
    assert snapshot.bids[-1] == (Decimal("98.96"), Decimal("287.31"))


def test_rest_trades_come_oldest_first_in_the_shape_of_the_stream():
    """Newest first and milliseconds on the wire become one shape with the stream."""
    rows = REST["trades"]["json"]
    trades = decode_rest_trades(json.dumps(rows).encode(), "SOL_USDC")
    assert [t.trade_id for t in trades] == [row["id"] for row in reversed(rows)]
    assert trades[-1].engine_time_us == rows[0]["timestamp"] * 1000
    assert trades[-1].price == Decimal(rows[0]["price"])


def test_an_unreadable_market_row_does_not_hide_the_others():
    """Drift in one row of /markets costs one market."""
    rows = REST["markets"]["json"]
    markets, unreadable = decode_markets(json.dumps([{"symbol": 7}, *rows]).encode())
    assert (len(markets), unreadable) == (len(rows), 1)


def test_the_capital_is_read_per_asset():
    """`GET /capital`; an unusable number voids the answer."""
    capital = decode_capital(json.dumps(REST["capital"]["json"]).encode())
    assert (capital["USDC"].available, capital["USDC"].locked) == (100, 10)
    for broken in (b"[]", b'{"USDC":{"available":"1"}}', b'{"A":{"available":"NaN","locked":"0"}}'):
        with pytest.raises(DecodeError):
            decode_capital(broken)


def test_klines_are_read_with_their_nulls():
    """A space in the time and a count as text are what REST sends."""
    traded, empty = decode_klines(json.dumps(REST["klines"]["json"]).encode())
    assert (traded.close, traded.trades, str(traded.end)) == (
        Decimal("101.02"), 3, "2026-09-02 16:45:00",
    )  # fmt: skip
    assert (empty.open, empty.high, empty.low, empty.close) == (None,) * 4


def test_positions_and_fills_are_read_as_rows():
    """Decimals and ids as the documents show them."""
    (position,) = decode_positions(json.dumps(REST["positions"]["json"]).encode())
    assert (position.quantity, position.position_id) == (Decimal("-0.01"), "28600000017")
    (fill,) = decode_fills(json.dumps(REST["fills"]["json"]).encode())
    assert (fill.fill_id, fill.executed_at.microsecond) == (381731418, 123_000)


@pytest.mark.parametrize(
    ("decode", "name", "changes"),
    [
        (decode_klines, "klines", {"open": "-1"}),
        (decode_klines, "klines", {"end": "2026-09-02 16:44:00"}),
        (decode_klines, "klines", {"volume": "NaN"}),
        (decode_positions, "positions", {"netQuantity": None}),
        (decode_positions, "positions", {"entryPrice": "Infinity"}),
        (decode_fills, "fills", {"price": None}),
        (decode_fills, "fills", {"fee": "1e999"}),
    ],
)
def test_an_unusable_row_voids_the_answer(decode, name, changes):
    """Asking again may help, inventing never does."""
    row = REST[name]["json"][0] | changes
    with pytest.raises(DecodeError):
        decode(json.dumps([row]).encode())
