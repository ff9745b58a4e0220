"""REST of the sandbox, over TLS, against recorded exchanges."""

import json
from decimal import Decimal

import pytest
import pytest_asyncio

from backpack_sandbox import Sandbox
from tests.support.backpack_fixtures import load_fixture
from tests.support.sandbox_client import rest_client, running_venue, signed_headers

RECORDED = {x["name"]: x for x in load_fixture("rest")["exchanges"]}


pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def venue(tmp_path_factory):
    directory = tmp_path_factory.mktemp("venue")
    async with running_venue(directory, trades_per_second=4.0) as venue:
        venue.advance(30)
        yield venue


async def get(venue: Sandbox, path: str, **query: str):
    async with rest_client(venue) as http, http.get(path, params=query) as answer:
        return answer.status, answer.headers, await answer.text()


@pytest.mark.parametrize(
    "name",
    [
        "depth_closed_market",
        "depth_unknown_symbol",
        "depth_bad_limit",
        "market_unknown",
        "unknown_path",
        "status",
        "ping",
        "bad_timestamp",
    ],
)
async def test_an_answer_is_the_recorded_one(venue, name):
    """Status, content type (JSON or plain text) and body."""
    recorded = RECORDED[name]
    request = recorded["request"]
    status, headers, body = await get(venue, request["path"], **request["query"])
    assert status == recorded["status"]
    assert headers["Content-Type"] == recorded["headers"]["Content-Type"]
    expected = recorded.get("text")
    assert (body if expected is not None else json.loads(body)) == recorded.get("json", expected)


async def test_markets_have_every_recorded_field_with_explicit_nulls(venue):
    """The same keys and value types as the recorded rows, spot and perp."""
    status, headers, body = await get(venue, "/api/v1/markets")
    assert status == 200
    assert headers["Cache-Control"] == RECORDED["markets"]["headers"]["Cache-Control"]
    rows = {row["symbol"]: row for row in json.loads(body)}
    for recorded in RECORDED["markets"]["json"]:
        row = rows[recorded["symbol"]]
        assert row == recorded
    assert len(rows) == 23


async def test_markets_can_be_narrowed_by_type(venue):
    """The marketType parameter may repeat."""
    _, _, body = await get(venue, "/api/v1/markets", marketType="SPOT")
    assert {row["marketType"] for row in json.loads(body)} == {"SPOT"}


async def test_depth_is_ascending_on_both_sides_and_normalised(venue):
    """The best bid is the last; lastUpdateId is a string; no trailing zeros; time in µs."""
    _, headers, body = await get(venue, "/api/v1/depth", symbol="BTC_USDC", limit="1000")
    assert headers["Cache-Control"] == RECORDED["depth"]["headers"]["Cache-Control"]
    depth = json.loads(body)
    for side in ("asks", "bids"):
        prices = [Decimal(price) for price, _ in depth[side]]
        assert prices == sorted(prices)
        assert not [t for level in depth[side] for t in level if "." in t and t.endswith("0")]
    assert Decimal(depth["bids"][-1][0]) < Decimal(depth["asks"][0][0])
    engine = venue.exchange.engines["BTC_USDC"]
    assert depth["lastUpdateId"] == str(engine.last_update_id)
    assert len(str(depth["timestamp"])) == 16


async def test_a_depth_limit_keeps_the_best_levels(venue):
    """The five nearest the middle."""
    _, _, whole = await get(venue, "/api/v1/depth", symbol="BTC_USDC")
    _, _, five = await get(venue, "/api/v1/depth", symbol="BTC_USDC", limit="5")
    assert json.loads(five)["bids"] == json.loads(whole)["bids"][-5:]
    assert json.loads(five)["asks"] == json.loads(whole)["asks"][:5]


async def test_trades_are_newest_first_with_sequential_ids(venue):
    """The same trades as the ledger, in the recorded shape."""
    _, headers, body = await get(venue, "/api/v1/trades", symbol="kPEPE_USDC_PERP", limit="20")
    assert headers["Cache-Control"] == RECORDED["trades"]["headers"]["Cache-Control"]
    rows = json.loads(body)
    newest = venue.exchange.engines["kPEPE_USDC_PERP"].last_trade_id
    assert [row["id"] for row in rows] == list(range(newest, newest - 20, -1))
    assert rows[0].keys() == RECORDED["trades"]["json"][0].keys()
    for row in rows:
        assert Decimal(row["price"]) * Decimal(row["quantity"]) == Decimal(row["quoteQuantity"])


async def test_trade_history_pages_back_from_the_newest(venue):
    """An offset of n skips the n newest."""
    _, _, page = await get(
        venue, "/api/v1/trades/history", symbol="SOL_USDC", limit="3", offset="2"
    )
    newest = venue.exchange.engines["SOL_USDC"].last_trade_id
    assert [row["id"] for row in json.loads(page)] == [newest - 2, newest - 3, newest - 4]


@pytest.mark.parametrize("limit", ["0", "1001", "ten", "-1"])
async def test_a_bad_trades_limit_is_a_plain_text_400(venue, limit):
    """The parameter parser answers, not the application."""
    status, headers, _ = await get(venue, "/api/v1/trades", symbol="SOL_USDC", limit=limit)
    assert (status, headers["Content-Type"]) == (400, "text/plain; charset=utf-8")


async def test_time_is_bare_milliseconds(venue):
    """Thirteen digits of text."""
    _, headers, body = await get(venue, "/api/v1/time")
    assert headers["Content-Type"] == "text/plain; charset=utf-8"
    assert body.isdigit()
    assert len(body) == 13


@pytest.mark.parametrize(
    ("instruction", "age_ms", "status", "message"),
    [
        ("balanceQuery", 0, 200, None),
        ("subscribe", 0, 400, "Invalid signature"),
        ("balanceQuery", 6000, 400, "Request has expired"),
    ],
)
async def test_capital_needs_a_signature_that_holds(venue, instruction, age_ms, status, message):
    """The window is signed even though its header is left out."""
    headers = signed_headers(venue, instruction, age_ms)
    async with (
        rest_client(venue) as http,
        http.get("/api/v1/capital", headers=headers) as answer,
    ):
        body = await answer.json()
    assert answer.status == status
    if message:
        assert body == {"code": "INVALID_CLIENT_REQUEST", "message": message}
    else:
        assert body["USDC"].keys() == {"available", "locked", "staked"}


async def test_truth_is_every_trade_from_an_id_on(venue):
    """In padded decimals, oldest first, up to the newest id that the venue names."""
    _, _, body = await get(venue, "/sandbox/truth/last_ids")
    newest = json.loads(body)["SOL_USDC"]["trade_id"]
    _, _, body = await get(
        venue, "/sandbox/truth/trades", symbol="SOL_USDC", from_id=str(newest - 4)
    )
    rows = json.loads(body)
    assert [row["id"] for row in rows] == list(range(newest - 4, newest + 1))
    assert {row["side"] for row in rows} <= {"buy", "sell"}
