"""Where ccxt itself is wrong about public data: each claim fails on the day that it is mended."""

import asyncio
import time
from decimal import Decimal

import pytest

from tests.conformance.ccxt_clients import STREAMING_BUILDS, key_options
from tests.conformance.refusals import RefusedError
from tests.conformance.truth import decimal_levels, published, true_book
from tests.support.conditions import eventually

SPOT, PERP = "SOL/USDC", "SOL/USDC:USDC"
SNAPSHOT_AT_ONCE = {"options": {"watchOrderBook": {"snapshotDelay": 0}}}
HOUR_MS = 3_600_000

streaming = pytest.mark.parametrize("build", STREAMING_BUILDS)


def number(value) -> Decimal:
    return Decimal(str(value))


@pytest.fixture
async def venue_ahead(open_venue):
    """Its clock is an hour ahead."""
    async with open_venue(clock=lambda: time.time() + 3600) as venue:
        yield venue


async def test_finding_the_venues_time_is_not_read(build, venue_ahead, open_client):
    """Python gives the first digit of it, Node its own clock."""
    client = await open_client(build, venue_ahead)
    told = await client.call("fetch_time")
    if build == "node":
        assert abs(told - time.time() * 1000) < HOUR_MS / 2
    else:
        assert told == 1


async def test_finding_open_interest_is_a_value(client):
    """The base units land in `openInterestValue`."""
    interest = await client.call("fetch_open_interest", PERP)
    assert interest.get("openInterestAmount") is None
    assert number(interest["openInterestValue"]) == Decimal(interest["info"]["openInterest"])


async def test_finding_a_closed_market_looks_like_an_outage(client):
    """404 RESOURCE_NOT_FOUND becomes a retryable class."""
    with pytest.raises(RefusedError, match="RESOURCE_NOT_FOUND") as refused:
        await client.call("fetch_order_book", "TON/USDC:USDC")
    assert refused.value.kinds[:2] == ("ExchangeNotAvailable", "NetworkError")


async def test_finding_an_unknown_order_looks_like_an_outage(build, venue, open_client):
    """As above, where OrderNotFound was meant."""
    client = await open_client(build, venue, **key_options(venue.trader_api_key_file))
    with pytest.raises(RefusedError, match="RESOURCE_NOT_FOUND") as refused:
        await client.call("cancel_order", "1", SPOT)
    assert refused.value.kinds[0] == "ExchangeNotAvailable"


async def test_finding_a_wrong_key_is_a_bad_request(build, venue, open_client, wrong_key):
    """The venue's code for it is INVALID_CLIENT_REQUEST, which ccxt files under bad requests."""
    client = await open_client(build, venue, **key_options(wrong_key))
    with pytest.raises(RefusedError, match="INVALID_CLIENT_REQUEST") as refused:
        await client.call("fetch_balance")
    assert refused.value.kinds[0] == "BadRequest"
    assert "AuthenticationError" not in refused.value.kinds


async def test_finding_a_refused_order_of_a_batch_is_an_order(build, venue, open_client):
    """Without an id; nothing is raised."""
    client = await open_client(build, venue, **key_options(venue.trader_api_key_file))
    order = {"symbol": SPOT, "type": "limit", "side": "buy", "amount": 1, "price": 1.0}
    (result,) = await client.call("create_orders", [order])
    assert result.get("id") is None
    assert result["info"]["code"] == "INVALID_PRICE"


async def test_finding_thousand_lot_symbols_lose_their_case(client):
    """What is kPEPE becomes KPEPE."""
    markets = await client.call("load_markets")
    assert markets["KPEPE/USDC:USDC"]["id"] == "kPEPE_USDC_PERP"


async def test_finding_markets_are_made_of_securities(client, build):
    """Python's build adds a market per security, which `/markets` does not list."""
    markets = await client.call("load_markets")
    made = {name for name in markets if ".RFQ" in name}
    assert bool(made) is (build != "node")


async def test_finding_the_depth_limit_is_not_sent(client, build):
    """By the build for Node, which then does not cut the answer either."""
    book = await client.call("fetch_order_book", SPOT, 5)
    assert (len(book["bids"]) == 5) is (build != "node")


async def test_finding_what_one_build_has_and_the_other_not(build, venue, open_client):
    """The build for Node is older."""
    client = await open_client(build, venue, **key_options(venue.trader_api_key_file))
    with pytest.raises(RefusedError) as refused:
        await client.call("fetch_order", "1", SPOT)
    assert refused.value.kinds[0] == ("NotSupported" if build == "node" else "ExchangeNotAvailable")


@streaming
@pytest.mark.parametrize(
    "method",
    ["watch_mark_price", "watch_funding_rate", "watch_open_interest", "watch_liquidations"],
)
async def test_finding_streams_without_a_watcher(build, venue, open_client, method):
    """The venue has streams for all of them."""
    client = await open_client(build, venue)
    with pytest.raises((RefusedError, AttributeError)) as refused:
        await client.call(method, PERP)
    if isinstance(refused.value, RefusedError):
        assert refused.value.kinds[0] in {"NotSupported", "TypeError"}


@streaming
async def test_finding_trades_have_the_time_of_their_frame(build, live_venue, open_client):
    """`E` and not `T`."""
    client = await open_client(build, live_venue)
    (trade, *_) = await client.call("watch_trades", SPOT)
    frames = {frame["t"]: frame for frame in published(live_venue, "trade.SOL_USDC")}
    assert trade["timestamp"] == frames[int(trade["id"])]["E"] // 1000


@streaming
async def test_finding_candles_of_streams_have_the_time_of_their_end(
    build, live_venue, open_client
):
    """While those of REST have that of their start."""
    client = await open_client(build, live_venue)
    streamed = (await client.call("watch_ohlcv", SPOT, "1h"))[-1]
    (*_, fetched) = await client.call("fetch_ohlcv", SPOT, "1h", None, 2)
    assert streamed[0] - fetched[0] == HOUR_MS


@streaming
async def test_finding_the_first_book_waits_for_eleven_deltas(build, live_venue, open_client):
    """A quiet market gives none for minutes; an option cures it."""
    client = await open_client(build, live_venue)
    await client.call("load_markets")
    known = true_book(live_venue, "SOL_USDC").update_id
    book = await client.call("watch_order_book", SPOT)
    assert book["nonce"] >= known + 11


@pytest.mark.parametrize("build", ["python-async"])
async def test_finding_a_book_outlives_its_socket(build, venue, open_client):
    """After a lost connection the deltas go on the old book, without a new snapshot."""
    client = await open_client(build, venue, **SNAPSHOT_AT_ONCE)
    await client.call("load_markets")

    async def next_book():
        task = asyncio.create_task(client.call("watch_order_book", SPOT))
        await eventually(lambda: "depth.SOL_USDC" in venue.fanout._listeners)
        venue.advance(5)
        return await task

    book = await next_book()
    assert decimal_levels(book["bids"]) == true_book(venue, "SOL_USDC", book["nonce"]).bids
    lost = asyncio.create_task(client.call("watch_order_book", SPOT))
    for session in venue.fanout:
        session.abort()
    with pytest.raises(RefusedError):
        await lost
    venue.advance(300)
    book = await next_book()
    truth = true_book(venue, "SOL_USDC", book["nonce"])
    assert (decimal_levels(book["bids"]), decimal_levels(book["asks"])) != (truth.bids, truth.asks)
