"""Websockets of the sandbox, over TLS, spoken raw."""

import asyncio
import json
from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosedError, ConnectionClosedOK

from tests.support.backpack_fixtures import load_fixture, schema_violations
from tests.support.conditions import eventually
from tests.support.sandbox_client import rest_client, running_venue, wire_client

CONTROL = load_fixture("ws_control")["cases"]


@pytest.fixture
async def venue(tmp_path):
    async with running_venue(tmp_path, trades_per_second=3.0) as venue:
        yield venue


def with_real_signature(message: dict[str, Any], signature: list[str]) -> dict[str, Any]:
    """The recorded message, its placeholders replaced: `<wrong>` stays wrong."""
    if "signature" not in message:
        return message
    real = dict(zip(("<key>", "<sig>", 2, 3), signature, strict=True))
    fields = [real.get(field, field) for field in message["signature"]]
    if "<sig>" in message["signature"] and isinstance(fields[2], str):
        fields[2:] = signature[2:]
    return message | {"signature": fields}


@pytest.mark.parametrize("case", CONTROL, ids=lambda c: c["name"])
async def test_a_control_frame_gets_exactly_the_recorded_reaction(venue, case):
    """No acknowledgement, the recorded error text or silence, and the socket stays open."""
    async with wire_client(venue) as client:
        await client.send(with_real_signature(case["client_sends"], client.signature()))
        assert await client.drain() == case["reply_raw"]


@pytest.mark.parametrize(
    "raw", ["hello", "[]", "null", '{"method":"SUBSCRIBE"}', '{"method":"SUBSCRIBE","params":[1]}']
)
async def test_what_is_no_control_frame_is_a_parse_error(venue, raw):
    """Text that is not JSON, and JSON of another shape."""
    async with wire_client(venue) as client:
        await client.send(raw)
        assert await client.receive() == '{"id":null,"error":{"code":4002,"message":"Parse error"}}'


async def test_an_expired_signature_is_refused_on_the_socket(venue):
    """Code 4003, and the public streams of the frame are not started either."""
    async with wire_client(venue) as client:
        old = client.signature(now=1_700_000_000.0)
        await client.subscribe("trade.SOL_USDC", "account.orderUpdate", signature=old)
        venue.advance(10)
        assert await client.drain() == [
            '{"id":null,"error":{"code":4003,"message":"Invalid signature"}}'
        ]


async def test_unknown_and_closed_markets_are_silent_for_ever(venue):
    """While an open one beside them delivers, once per frame though asked for twice."""
    async with wire_client(venue) as client:
        streams = ["depth.NOPE_USDC", "depth.HNT_USDC", "depth.5.SOL_USDC", "depth.SOL_USDC"]
        await client.subscribe(*streams)
        await client.subscribe("depth.SOL_USDC")
        await client.drain()
        venue.advance(5)
        frames = await client.drain_data()
        assert {frame["stream"] for frame in frames} == {"depth.SOL_USDC"}
        ids = [frame["data"]["u"] for frame in frames]
        assert ids == list(range(ids[0], ids[0] + len(ids)))


async def test_unsubscribe_stops_one_stream_and_leaves_the_rest(venue):
    """A private stream is left without a signature."""
    async with wire_client(venue) as client:
        await client.subscribe(
            "trade.SOL_USDC", "depth.SOL_USDC", "account.orderUpdate", signature=client.signature()
        )
        leaving = ["depth.SOL_USDC", "account.orderUpdate"]
        await client.send({"method": "UNSUBSCRIBE", "params": leaving})
        await client.drain()
        venue.advance(10)
        streams = {frame["stream"] for frame in await client.drain_data()}
        assert streams == {"trade.SOL_USDC"}


async def test_every_stream_has_the_recorded_fields_in_ascii_order(venue):
    """Depth, trade, bookTicker and both private scopes, for names with dots and digits."""
    symbols = ["AAPL.US_USDC_PERP", "0G_USDC_PERP", "kPEPE_USDC_PERP"]
    kinds = ["depth", "trade", "bookTicker", "account.orderUpdate"]
    async with wire_client(venue) as client:
        streams = [f"{kind}.{symbol}" for kind in kinds for symbol in symbols]
        await client.subscribe(*streams, "account.orderUpdate", signature=client.signature())
        await client.drain()
        venue.advance(40)
        seen = set()
        for raw in await client.drain():
            frame = json.loads(raw)
            assert raw == json.dumps(frame, separators=(",", ":"), sort_keys=True)
            kind = next(kind for kind in kinds if frame["stream"].startswith(kind))
            assert schema_violations(kind, frame["data"]) == []
            assert frame["data"]["T"] <= frame["data"]["E"]
            seen.add(frame["stream"])
        assert seen == {*streams, "account.orderUpdate"}


async def depth(venue, symbol: str) -> dict[str, Any]:
    query = {"symbol": symbol, "limit": "1000"}
    async with rest_client(venue) as http, http.get("/api/v1/depth", params=query) as answer:
        return await answer.json()


def sides(snapshot: dict[str, Any]) -> list[dict[Decimal, Decimal]]:
    return [{Decimal(p): Decimal(q) for p, q in snapshot[side]} for side in ("bids", "asks")]


def apply(book: list[dict[Decimal, Decimal]], data: dict[str, Any]) -> None:
    for side, levels in zip(book, (data["b"], data["a"]), strict=True):
        for price, quantity in levels:
            side[Decimal(price)] = Decimal(quantity)
            if not Decimal(quantity):
                del side[Decimal(price)]


@pytest.mark.parametrize("symbol", ["SOL_USDC", "BONK_USDC", "BTC_USDC_PERP", "MSFT.US_USDC_PERP"])
async def test_deltas_replayed_over_a_snapshot_give_the_book(venue, symbol):
    """Buffered frames up to lastUpdateId are dropped, the rest lead to the next snapshot."""
    async with wire_client(venue) as client:
        await client.subscribe(f"depth.{symbol}")
        await client.drain()
        venue.advance(20)
        snapshot = await depth(venue, symbol)
        venue.advance(30)
        frames = [frame["data"] for frame in await client.drain_data()]
        last, book = int(snapshot["lastUpdateId"]), sides(snapshot)
        assert frames[0]["u"] <= last
        for data in (data for data in frames if data["u"] > last):
            assert data["U"] == data["u"] == last + 1
            apply(book, data)
            last = data["u"]
        truth = await depth(venue, symbol)
        assert (last, book) == (int(truth["lastUpdateId"]), sides(truth))


async def test_an_aggregated_stream_covers_the_same_ids_without_a_hole(tmp_path):
    """U continues the u before; folded, the windows give the book of the realtime stream."""
    now = 1_790_900_000.0
    async with running_venue(tmp_path, clock=lambda: now) as venue, wire_client(venue) as client:
        await client.subscribe("depth.200ms.SOL_USDC", "depth.SOL_USDC")
        await client.drain()
        start = await depth(venue, "SOL_USDC")
        for _ in range(200):
            now += 0.1
            venue.advance(0.1)
        now += 1
        venue.advance(0)
        frames = await client.drain_data()
        realtime = [f["data"] for f in frames if f["stream"] == "depth.SOL_USDC"]
        windows = [f["data"] for f in frames if f["stream"] == "depth.200ms.SOL_USDC"]
        assert len(windows) < len(realtime)
        assert windows[0]["U"] == realtime[0]["U"] == int(start["lastUpdateId"]) + 1
        assert windows[-1]["u"] == realtime[-1]["u"]
        for before, after in pairwise(windows):
            assert after["U"] == before["u"] + 1
        book = sides(start)
        for data in windows:
            for side, levels in zip(book, (data["b"], data["a"]), strict=True):
                side.update({Decimal(p): Decimal(q) for p, q in levels})
        truth = sides(await depth(venue, "SOL_USDC"))
        assert [{p: q for p, q in side.items() if q} for side in book] == truth


@pytest.mark.parametrize(("trades_first", "leads"), [(False, "depth"), (True, "trade")])
async def test_a_match_tells_depth_before_trade_or_the_other_way_round(
    tmp_path, trades_first, leads
):
    """The real order is not known, so both can be had; one match shares one event time."""
    async with (
        running_venue(tmp_path, trades_first=trades_first) as venue,
        wire_client(venue) as client,
    ):
        await client.subscribe("depth.SOL_USDC", "trade.SOL_USDC")
        await client.drain()
        venue.advance(10)
        frames = [frame["data"] for frame in await client.drain_data()]
        matches = {data["E"] for data in frames if data["e"] == "trade"}
        assert matches
        for moment in matches:
            kinds = [data["e"] for data in frames if data["E"] == moment]
            assert kinds == sorted(kinds, key=lambda kind: kind != leads)
            assert set(kinds) == {"depth", "trade"}


async def test_the_ledger_holds_every_frame_before_a_client_can_have_it(venue):
    """Byte for byte, in order."""
    async with wire_client(venue) as client:
        streams = [f"{kind}.SOL_USDC" for kind in ("depth", "trade", "bookTicker")]
        await client.subscribe(*streams)
        await client.drain()
        venue.advance(20)
        lines = venue.ledger.path.read_text().splitlines()
        published = [line for line in lines if json.loads(line).get("stream") in streams]
        assert await client.drain() == published


async def test_frames_are_compressed_when_the_client_offers_it(venue):
    """permessage-deflate for who asks, plain text for who does not."""
    async with wire_client(venue) as plain, wire_client(venue, compression="deflate") as packed:
        assert "permessage-deflate" in packed.socket.response.headers["Sec-WebSocket-Extensions"]
        await packed.subscribe("depth.SOL_USDC")
        await packed.drain()
        venue.advance(5)
        assert len(await packed.drain()) > 10
    async with wire_client(venue, compression=None) as plain:
        assert "Sec-WebSocket-Extensions" not in plain.socket.response.headers


async def test_a_protocol_ping_is_answered(venue):
    """With the same payload, at once."""
    async with wire_client(venue) as client:
        async with asyncio.timeout(5):
            await (await client.socket.ping(b"opaque"))


async def test_the_venue_pings_and_drops_a_silent_socket_without_a_close_frame(tmp_path):
    """A socket without subscriptions that never pongs ends as 1006."""
    async with (
        running_venue(
            tmp_path, ping_interval_seconds=0.2, first_ping_seconds=(0.05, 0.05)
        ) as venue,
        wire_client(venue) as client,
        wire_client(venue) as answering,
    ):
        client.socket.protocol.send_pong = lambda data: None
        recv_frame = client.socket.protocol.recv_frame
        from websockets.frames import Opcode

        client.socket.protocol.recv_frame = lambda frame: (
            None if frame.opcode is Opcode.PING else recv_frame(frame)
        )
        with pytest.raises(ConnectionClosedError) as closed:
            await client.receive()
        assert closed.value.rcvd is None
        assert await answering.drain() == []


async def test_shutdown_tells_every_client_to_go_and_keeps_identity(tmp_path):
    """Close 1001; the CA and the api key are the same after the restart."""
    async with running_venue(tmp_path) as venue:
        first = venue.ca_file.read_bytes(), venue.api_key_file.read_bytes()
        context = wire_client(venue)
        client = await context.__aenter__()
    with pytest.raises(ConnectionClosedOK) as closed:
        await client.receive()
    assert closed.value.rcvd.code == 1001
    await context.__aexit__(None, None, None)
    async with running_venue(tmp_path) as venue:
        assert (venue.ca_file.read_bytes(), venue.api_key_file.read_bytes()) == first
        assert venue.api_key_file.stat().st_mode & 0o777 == 0o600


async def test_the_market_runs_by_itself_unless_paused(tmp_path):
    """Frames come without anyone's help."""
    async with running_venue(tmp_path, paused=False) as venue, wire_client(venue) as client:
        await client.subscribe("depth.SOL_USDC", "depth.BTC_USDC_PERP")
        assert '"depth"' in await client.receive()
        async with rest_client(venue) as http:
            await http.post("/sandbox/market/pause")
            await client.drain()
            before = venue.exchange.model_seconds
            await http.post("/sandbox/market/resume")
        await eventually(lambda: venue.exchange.model_seconds > before)
