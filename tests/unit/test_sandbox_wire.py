"""Frames of the sandbox, against recorded ones and their schema."""

import json
from typing import Any

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
from backpack_sandbox.market.orders import (
    ExpiryReason,
    Order,
    OrderRequest,
    OrderStatus,
    TimeInForce,
)
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


def order_event(
    kind: str, status: OrderStatus, executed: int = 0, fill: Fill | None = None, **changes: Any
) -> OrderEvent:
    reason = changes.pop("expiry_reason", None)
    wanted = {"price": 10081, "post_only": True} | changes
    request = OrderRequest(account="trader", side=Side.ASK, quantity=20, **wanted)
    order = Order("USDT_USDC", 60011223344, request, executed, 10081 * executed, status, reason)
    return OrderEvent(kind, order, fill)


ACCEPTED_AT = (1790900001063153, 1790900001062979)


@pytest.mark.parametrize(
    ("name", "event", "times"),
    [
        (
            "order_accepted",
            order_event("orderAccepted", OrderStatus.NEW),
            ACCEPTED_AT,
        ),
        (
            "order_cancelled",
            order_event("orderCancelled", OrderStatus.CANCELLED),
            (1790915534114025, 1790915534113900),
        ),
        (
            "order_fill_partial",
            order_event(
                "orderFill",
                OrderStatus.PARTIALLY_FILLED,
                5,
                Fill(2888471, 10081, 5, is_maker=True),
            ),
            (1790915535000175, 1790915534999705),
        ),
        (
            "order_fill_final",
            order_event(
                "orderFill", OrderStatus.FILLED, 20, Fill(2888475, 10081, 15, is_maker=True)
            ),
            (1790915536000175, 1790915535999705),
        ),
        (
            "order_expired_ioc",
            order_event(
                "orderExpired",
                OrderStatus.EXPIRED,
                5,
                time_in_force=TimeInForce.IOC,
                post_only=False,
                expiry_reason=ExpiryReason.IMMEDIATE_OR_CANCEL,
            ),
            ACCEPTED_AT,
        ),
    ],
)
def test_an_order_update_is_byte_for_byte_the_recorded_one(name, event, times):
    """Its t is present and null but on fills; notionals carry tick and step decimals."""
    whole, scoped = WireEncoder(CATALOG["USDT_USDC"]).order_update(event, *times)
    assert whole.decode() == PRIVATE[name]
    assert json.loads(scoped)["stream"] == "account.orderUpdate.USDT_USDC"


def test_the_frame_of_one_market_is_byte_for_byte_the_recorded_one():
    """The same data under another stream name."""
    event = order_event("orderAccepted", OrderStatus.NEW)
    _, scoped = WireEncoder(CATALOG["USDT_USDC"]).order_update(event, *ACCEPTED_AT)
    assert scoped.decode() == PRIVATE["order_single_market_stream"]


def test_a_market_buy_pays_its_fee_in_what_it_bought():
    """The recorded frame: no price, no post-only flag, and 0.1 % of the base asset."""
    request = OrderRequest(
        account="trader", side=Side.BID, price=None, quantity=None, quote_quantity=4_300_000
    )
    order = Order("ETH_USDC", 5406825793, request, 10, 4299160, OrderStatus.FILLED)
    event = OrderEvent("orderFill", order, Fill(2888472, 429916, 10, is_maker=False))
    whole, _ = WireEncoder(CATALOG["ETH_USDC"]).order_update(
        event, 1790915540175879, 1790915540174705
    )
    recorded = PRIVATE["order_fill_market_taker"].replace('"Q":"4.30"', '"Q":"4.300000"')
    assert whole.decode() == recorded


def test_a_client_id_goes_out_as_the_number_it_was():
    """A uint32; the frame of an order without one has no such key."""
    event = order_event("orderAccepted", OrderStatus.NEW, client_id=4294967295)
    whole, _ = WireEncoder(CATALOG["USDT_USDC"]).order_update(event, *ACCEPTED_AT)
    expected = json.loads(PRIVATE["order_accepted"])
    expected["data"]["c"] = json.loads(PRIVATE["order_with_client_id_and_tpsl"])["data"]["c"]
    assert json.loads(whole) == expected


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
