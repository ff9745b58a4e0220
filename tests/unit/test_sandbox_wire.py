"""Frames of the sandbox, against recorded ones and their schema."""

import json

import pytest

from backpack_sandbox.market.book import Side
from backpack_sandbox.market.catalog import build_catalog
from backpack_sandbox.market.events import (
    BookEvent,
    Fill,
    LiquidationEvent,
    OrderEvent,
    TopEvent,
    TradeEvent,
)
from backpack_sandbox.market.exchange import Exchange
from backpack_sandbox.streams.wire import WireEncoder
from tests.support.backpack_fixtures import load_fixture, schema_violations

CATALOG = build_catalog()
PUBLIC = {f["name"]: f["raw"] for f in load_fixture("ws_public_frames")["frames"]}
PRIVATE = {f["name"]: f["raw"] for f in load_fixture("ws_private_frames")["frames"]}
EVENT_US = 1790900001026313


def test_a_depth_frame_is_byte_for_byte_the_recorded_one():
    """One ask of SOL_USDC, padded to tick and step, keys in ASCII order."""
    event = BookEvent("SOL_USDC", 4400000995, bids=(), asks=((9897, 2137),))
    frame = WireEncoder(CATALOG["SOL_USDC"]).depth(event, EVENT_US, 1790900001025249)
    assert frame.decode() == PUBLIC["depth_realtime_one_ask"]


def test_a_delete_is_a_padded_zero():
    """The venue writes 0.00, not 0."""
    event = BookEvent("SOL_USDC", 4400000996, bids=((9840, 0),), asks=())
    frame = WireEncoder(CATALOG["SOL_USDC"]).depth(event, EVENT_US, 1790900001025249)
    assert frame.decode() == PUBLIC["depth_realtime_delete"]


@pytest.mark.parametrize(
    ("name", "match"),
    [
        ("trade_taker_buy", ("BTC_USDC_PERP", 99500123, 866503, 8110)),
        ("trade_taker_sell", ("kPEPE_USDC_PERP", 551203, 4931, 101)),
    ],
)
def test_a_trade_frame_is_byte_for_byte_the_recorded_one(name, match):
    """Seller and buyer ids are strings, the trade id is an int, T ends in 000."""
    event = TradeEvent(
        *match,
        buyer_order_id=66700100555,
        seller_order_id=66700100201,
        buyer_is_maker=name == "trade_taker_sell",
    )
    frame = WireEncoder(CATALOG[event.symbol]).trade(event, EVENT_US, 1790900001025678)
    assert frame.decode() == PUBLIC[name]


def test_a_book_ticker_frame_is_byte_for_byte_the_recorded_one():
    """Its u is an int, in the id space of depth."""
    event = TopEvent("SOL_USDC", 4400000995, bid=(9896, 28731), ask=(9897, 2137))
    frame = WireEncoder(CATALOG["SOL_USDC"]).book_ticker(event, EVENT_US, 1790900001024907)
    assert frame.decode() == PUBLIC["bookTicker"]


def test_an_empty_side_has_a_null_price_and_size():
    """Never 0, never the price before."""
    event = TopEvent("HNT_USDC", 12, bid=None, ask=None)
    frame = WireEncoder(CATALOG["HNT_USDC"]).book_ticker(event, EVENT_US, 1790900001024907)
    assert frame.decode() == PUBLIC["bookTicker_empty_book"]


def order_event(kind: str, state: str, executed: int = 0, fill: Fill | None = None) -> OrderEvent:
    return OrderEvent(
        "USDT_USDC", kind, state, 60011223344, Side.ASK, 10081, 20, executed, 10081 * executed, fill
    )


@pytest.mark.parametrize(
    ("name", "event", "times"),
    [
        (
            "order_accepted",
            order_event("orderAccepted", "New"),
            (1790900001063153, 1790900001062979),
        ),
        (
            "order_cancelled",
            order_event("orderCancelled", "Cancelled"),
            (1790915534114025, 1790915534113900),
        ),
        (
            "order_fill_partial",
            order_event("orderFill", "PartiallyFilled", 5, Fill(2888471, 10081, 5, is_maker=True)),
            (1790915535000175, 1790915534999705),
        ),
    ],
)
def test_an_order_update_is_byte_for_byte_the_recorded_one(name, event, times):
    """Its t is present and null but on fills; notionals carry tick and step decimals."""
    whole, scoped = WireEncoder(CATALOG["USDT_USDC"]).order_update(event, *times)
    assert whole.decode() == PRIVATE[name]
    assert json.loads(scoped)["stream"] == "account.orderUpdate.USDT_USDC"


def test_every_frame_of_a_busy_minute_has_the_recorded_fields_and_key_order():
    """All five kinds of event, every market, against field_types.json."""
    encoders = {symbol: WireEncoder(market) for symbol, market in CATALOG.items()}
    exchange = Exchange(CATALOG, seed=3, events_per_second=20, trades_per_second=4)
    kinds = set()
    for _, events in exchange.advance(15):
        for event in events:
            encoder = encoders[event.symbol]
            if isinstance(event, OrderEvent):
                frame, _ = encoder.order_update(event, 2, 1)
                kind = "account.orderUpdate"
            elif isinstance(event, LiquidationEvent):
                frame, _ = encoder.liquidation(event, 2, 1)
                kind = "liquidation"
            else:
                encode, kind = {
                    BookEvent: (encoder.depth, "depth"),
                    TopEvent: (encoder.book_ticker, "bookTicker"),
                    TradeEvent: (encoder.trade, "trade"),
                }[type(event)]
                frame = encode(event, 2, 1)
            message = json.loads(frame)
            assert schema_violations(kind, message["data"]) == []
            assert frame.decode() == json.dumps(message, separators=(",", ":"), sort_keys=True)
            kinds.add(message["data"]["e"])
    orders = {"orderAccepted", "orderFill", "orderCancelled"}
    assert kinds == {"depth", "bookTicker", "trade", "liquidation", *orders}
