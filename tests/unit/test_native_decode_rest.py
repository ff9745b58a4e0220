"""Bodies of REST answers become the shapes of the streams, or a typed error."""

import json
from decimal import Decimal

import pytest

from backpack_feed.errors import DecodeError
from backpack_feed.wire.decode import (
    decode_capital,
    decode_depth_snapshot,
    decode_markets,
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
