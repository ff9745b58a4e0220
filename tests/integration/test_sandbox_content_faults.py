"""Faults of the sandbox that change what frames and answers say."""

import json
import ssl

import aiohttp
import pytest

from backpack_sandbox.constants import CONTROL_NAME
from tests.support.backpack_fixtures import schema_violations
from tests.support.conditions import eventually
from tests.support.sandbox_client import (
    rest_client,
    running_venue,
    signed_headers,
    trust,
    wire_client,
)

VICTIM = "backpack-feed/1.0"
BYSTANDER = "ccxt"
AIMED = {"user_agent": "backpack-feed*"}
SOL = {"symbol": "SOL_USDC"}
DEPTH, TRADE = "depth.SOL_USDC", "trade.SOL_USDC"


@pytest.fixture
async def venue(tmp_path):
    async with running_venue(tmp_path, trades_per_second=3.0) as venue:
        venue.advance(10)
        yield venue


async def both(venue, *streams: str, seconds: float = 20, parse: bool = True):
    """What a victim and a bystander get of the same stretch of market."""
    async with wire_client(venue, VICTIM) as hit, wire_client(venue, BYSTANDER) as spared:
        for client in (hit, spared):
            await client.subscribe(*streams)
            await client.drain()
        venue.advance(seconds)
        got = await hit.drain(), await spared.drain()
        return [[json.loads(f) for f in side] if parse else side for side in got]


async def get(venue, path: str, user_agent: str = VICTIM, **params):
    async with rest_client(venue, user_agent) as http, http.get(path, params=params) as answer:
        return answer.status, answer.headers, await answer.text()


async def test_crossed_puts_bids_above_every_ask(venue):
    """In a share of the depth frames; ids and all else stay."""
    venue.faults.add("crossed", share=0.2, **AIMED)
    hit, spared = await both(venue, DEPTH)
    best_ask = min(float(p) for f in spared for p, q in f["data"]["a"] if float(q))
    changed = [h for h, s in zip(hit, spared, strict=True) if h != s]
    assert 0.05 < len(changed) / len(hit) < 0.4
    for frame in changed:
        price, quantity = frame["data"]["b"].pop()
        assert float(price) > best_ask
        assert float(quantity) > 0
    assert hit == spared


async def test_sequence_restart_counts_from_one_on_the_socket_and_on_rest(venue):
    """The same content by other ids; the truth and other clients keep theirs."""
    first_update = venue.exchange.engines["SOL_USDC"].last_update_id
    first_trade = venue.exchange.engines["SOL_USDC"].last_trade_id + 1
    venue.faults.add("sequence_restart", **AIMED)
    assert json.loads((await get(venue, "/api/v1/depth", **SOL))[2])["lastUpdateId"] == "1"
    assert json.loads((await get(venue, "/api/v1/trades", **SOL))[2]) == []
    hit, spared = await both(venue, DEPTH, TRADE, "bookTicker.SOL_USDC")
    for mine, theirs in zip(hit, spared, strict=True):
        offset = (first_trade if theirs["data"]["e"] == "trade" else first_update) - 1
        for key in ("U", "u", "t"):
            if key in theirs["data"]:
                theirs["data"][key] -= offset
        assert mine == theirs
    depth = [f["data"]["u"] for f in hit if f["stream"] == DEPTH]
    trades = [f["data"]["t"] for f in hit if f["stream"] == TRADE]
    assert depth == list(range(2, 2 + len(depth)))
    assert trades == list(range(1, 1 + len(trades)))
    book = json.loads((await get(venue, "/api/v1/depth", **SOL))[2])
    assert int(book["lastUpdateId"]) == depth[-1]
    rows = json.loads((await get(venue, "/api/v1/trades", **SOL))[2])
    assert [row["id"] for row in rows] == trades[::-1]
    truth = json.loads((await get(venue, "/sandbox/truth/last_ids"))[2])
    assert truth["SOL_USDC"]["update_id"] == first_update + depth[-1] - 1


@pytest.mark.parametrize("how", ["truncated", "text", "array", "null", "binary"])
async def test_malformed_frames_come_in_the_place_of_frames(venue, how):
    """Each is no frame at all."""
    venue.faults.add("malformed", share=0.2, how=how, **AIMED)
    async with wire_client(venue, VICTIM) as hit, wire_client(venue, BYSTANDER) as spared:
        for client in (hit, spared):
            await client.subscribe(TRADE)
            await client.drain()
        venue.advance(20)
        want = await spared.drain()
        got = [await hit.socket.recv() for _ in want]
    broken = [frame for frame in got if frame not in want]
    assert broken
    for frame in broken:
        if how == "binary":
            assert frame == bytes.fromhex("000102ff")
        elif how in {"array", "null"}:
            assert json.loads(frame) in ([], None)
        else:
            with pytest.raises(json.JSONDecodeError):
                json.loads(frame)


@pytest.mark.parametrize("name", ["schema_missing", "schema_renamed", "schema_retyped"])
async def test_schema_faults_break_required_fields_in_one_way(venue, name):
    """Missing is shorter, renamed as long, retyped has the same keys."""
    venue.faults.add(name, share=1.0, **AIMED)
    hit, spared = await both(venue, DEPTH, TRADE)
    for mine, theirs in zip(hit, spared, strict=True):
        assert schema_violations(mine["data"]["e"], mine["data"])
        lost = theirs["data"].keys() - mine["data"].keys()
        new = mine["data"].keys() - theirs["data"].keys()
        sizes = {"schema_missing": (1, 0), "schema_renamed": (1, 1), "schema_retyped": (0, 0)}
        assert (len(lost), len(new)) == sizes[name]


async def test_schema_extra_adds_a_field_and_breaks_nothing(venue):
    """All that was there is there."""
    venue.faults.add("schema_extra", share=1.0, **AIMED)
    hit, spared = await both(venue, DEPTH, TRADE)
    for mine, theirs in zip(hit, spared, strict=True):
        assert mine["data"].items() > theirs["data"].items()


async def test_unknown_events_come_between_the_frames(venue):
    """None of the others is lost."""
    venue.faults.add("unknown_events", share=0.3, **AIMED)
    hit, spared = await both(venue, TRADE)
    assert [f for f in hit if f["stream"] == TRADE] == spared
    strangers = [f for f in hit if f["stream"] != TRADE]
    assert strangers
    assert all(f["data"]["e"] == "auction" for f in strangers)


@pytest.mark.parametrize("how", ["future", "past", "string", "milliseconds"])
async def test_wrong_timestamps(venue, how):
    """Of the chosen streams; nothing else is changed."""
    venue.faults.add("wrong_timestamps", share=1.0, how=how, streams=["trade.*"], **AIMED)
    hit, spared = await both(venue, DEPTH, TRADE)
    wrong = {
        "future": lambda us: us + 86_400_000_000,
        "past": lambda us: us - 86_400_000_000,
        "string": str,
        "milliseconds": lambda us: us // 1000,
    }[how]
    for frame in spared:
        if frame["stream"] == TRADE:
            frame["data"] |= {key: wrong(frame["data"][key]) for key in "ET"}
    assert hit == spared


async def test_clock_skew_moves_time_stamps_and_the_window_of_signatures(venue):
    """For the matching clients: what is right by the true clock has expired, and the reverse."""
    venue.faults.add("clock_skew", skew_seconds=60, **AIMED)
    hit, spared = await both(venue, TRADE)
    for frame in spared:
        frame["data"] |= {key: frame["data"][key] + 60_000_000 for key in "ET"}
    assert hit == spared
    ahead_ms = int((await get(venue, "/api/v1/time"))[2]) - int(
        (await get(venue, "/api/v1/time", BYSTANDER))[2]
    )
    assert 59_000 < ahead_ms < 61_000
    for user_agent, age_ms, status in (
        (VICTIM, 0, 400),
        (VICTIM, -60_000, 200),
        (BYSTANDER, 0, 200),
    ):
        headers = signed_headers(venue, "balanceQuery", age_ms)
        async with (
            rest_client(venue, user_agent) as http,
            http.get("/api/v1/capital", headers=headers) as answer,
        ):
            assert answer.status == status, (user_agent, age_ms)
    async with wire_client(venue, VICTIM) as client:
        await client.subscribe("account.orderUpdate", signature=client.signature())
        assert '"code":4003' in await client.receive()
        now = venue.config.clock() + 60
        await client.subscribe("account.orderUpdate", signature=client.signature(now=now))
        assert await client.drain() == []


@pytest.mark.parametrize(("fault", "closed"), [("signature_refused", False), ("key_revoked", True)])
async def test_new_signatures_are_refused(venue, fault, closed):
    """A revoked key also ends the sockets that signed with it; public ones live."""
    async with wire_client(venue, VICTIM) as private, wire_client(venue, VICTIM) as public:
        await private.subscribe("account.orderUpdate", signature=private.signature())
        await private.drain()
        venue.faults.add(fault, **AIMED)
        await public.subscribe("account.orderUpdate", signature=public.signature())
        assert '"code":4003' in await public.receive()
        if closed:
            await eventually(lambda: private.socket.close_code == 1008)
        else:
            assert await private.drain() == []
    headers = signed_headers(venue, "balanceQuery")
    async with (
        rest_client(venue, VICTIM) as http,
        http.get("/api/v1/capital", headers=headers) as answer,
    ):
        assert answer.status == 400
        assert (await answer.json())["message"] == "Invalid signature"


async def test_a_market_closes_while_clients_listen(venue):
    """Its streams are silent, REST says so everywhere; other markets go on."""
    venue.faults.add("market_closed", symbols=["SOL_USDC"], **AIMED)
    hit, spared = await both(venue, DEPTH, "depth.BTC_USDC")
    assert hit == [f for f in spared if f["stream"] != DEPTH] != []
    status, _, body = await get(venue, "/api/v1/depth", **SOL)
    assert (status, json.loads(body)["code"]) == (404, "RESOURCE_NOT_FOUND")
    assert (await get(venue, "/api/v1/depth", BYSTANDER, **SOL))[0] == 200
    markets = json.loads((await get(venue, "/api/v1/markets"))[2])
    states = {market["symbol"]: market["orderBookState"] for market in markets}
    assert (states["SOL_USDC"], states["BTC_USDC"]) == ("Closed", "Open")
    one = json.loads((await get(venue, "/api/v1/market", **SOL))[2])
    assert one["orderBookState"] == "Closed"
    venue.faults.add("market_closed", symbols=["SOL_USDC_PERP"], **AIMED)
    rows = json.loads((await get(venue, "/api/v1/markPrices"))[2])
    assert "SOL_USDC_PERP" not in {row["symbol"] for row in rows}
    assert (await get(venue, "/api/v1/markPrices", symbol="SOL_USDC_PERP"))[0] == 400
    async with (
        rest_client(venue, VICTIM) as http,
        http.post("/api/v1/order", json={"symbol": "SOL_USDC"}) as answer,
    ):
        assert (await answer.json())["code"] == "TRADING_PAUSED"


async def test_snapshot_old_trails_the_stream(venue):
    """By so many ids, and is the true book of then."""
    venue.faults.add("snapshot_old", behind_ids=20, **AIMED)
    old = json.loads((await get(venue, "/api/v1/depth", **SOL))[2])
    newest = venue.exchange.engines["SOL_USDC"].last_update_id
    assert int(old["lastUpdateId"]) == newest - 20
    truth = json.loads((await get(venue, "/sandbox/truth/book", id=newest - 20, **SOL))[2])
    for side in ("bids", "asks"):
        assert [tuple(map(float, x)) for x in old[side]] == [
            tuple(map(float, x)) for x in truth[side]
        ]


async def test_snapshot_new_leads_the_stream(venue):
    """Depth frames come late, others at once."""
    venue.faults.add("snapshot_new", lead_ms=60_000, **AIMED)
    hit, spared = await both(venue, DEPTH, TRADE)
    assert hit == [f for f in spared if f["stream"] == TRADE] != []


@pytest.mark.parametrize(
    ("fault", "options", "status", "kind"),
    [
        ("rest_500", {}, 500, "application/json"),
        ("rest_429", {"body": "html"}, 429, "text/html"),
        ("rest_html", {}, 403, "text/html"),
        ("rest_html", {"status": 200}, 200, "text/html"),
    ],
)
async def test_refusals_of_the_edge_and_of_the_application(venue, fault, options, status, kind):
    """On every path of the API."""
    venue.faults.add(fault, **options, **AIMED)
    got, headers, _ = await get(venue, "/api/v1/depth", **SOL)
    assert got == status
    assert headers["Content-Type"].startswith(kind)


async def test_stale_cdn_answers_what_it_last_answered_to_this_url(venue):
    """Only where a public cache header allows it; a new query misses the cache."""
    before = (await get(venue, "/api/v1/trades", **SOL))[2]
    venue.faults.add("stale_cdn", **AIMED)
    venue.advance(10)
    _, headers, body = await get(venue, "/api/v1/trades", **SOL)
    assert body == before
    assert int(headers["Age"]) >= 0
    assert (await get(venue, "/api/v1/trades", limit=99, **SOL))[2] != before
    fresh = json.loads((await get(venue, "/api/v1/depth", **SOL))[2])["lastUpdateId"]
    assert int(fresh) == venue.exchange.engines["SOL_USDC"].last_update_id
    assert (await get(venue, "/api/v1/trades", BYSTANDER, **SOL))[2] != before


async def test_cert_expired_fails_new_handshakes_only(venue):
    """Open connections live on, and who commands the venue can end the fault."""
    async with wire_client(venue, VICTIM) as client, rest_client(venue) as http:
        async with http.get("/sandbox/faults") as answer:
            assert answer.status == 200
        venue.faults.add("cert_expired")
        async with http.get("/sandbox/faults") as answer:  # the connection is kept
            assert answer.status == 200
        assert await client.drain() == []
        with pytest.raises(ssl.SSLCertVerificationError, match="expired"):
            await wire_client(venue, VICTIM).__aenter__()
    async with aiohttp.ClientSession() as session:
        url, context = f"{venue.rest_url}/sandbox/faults", trust(venue)
        await session.delete(url, ssl=context, server_hostname=CONTROL_NAME)
    assert await get(venue, "/api/v1/ping")
    assert venue.faults.active() == ()
