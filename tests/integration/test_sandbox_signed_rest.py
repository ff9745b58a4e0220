"""The gate of signed REST: signatures, parsers, limits, and every endpoint of table 7.3."""

import json

import pytest
import pytest_asyncio

from backpack_sandbox import Sandbox
from tests.support.backpack_fixtures import load_fixture
from tests.support.sandbox_client import (
    rest_client,
    running_venue,
    signed_client,
)

RECORDED = {x["name"]: x for x in load_fixture("rest")["exchanges"]}
ORDER = {
    "symbol": "SOL_USDC",
    "side": "Bid",
    "orderType": "Limit",
    "price": "90",
    "quantity": "2",
    "postOnly": True,
    "reduceOnly": False,
    "clientId": 7,
}
BODIES = {"/api/v1/order": ORDER, "/api/v1/orders": {"symbol": "SOL_USDC"}}
QUERIES = {
    "/api/v1/order": {"symbol": "SOL_USDC", "orderId": "1"},
    "/api/v1/account/limits/order": {"symbol": "SOL_USDC", "side": "Bid"},
}

# protocol 7.3: method, path, instruction
TABLE = """
GET /api/v1/account accountQuery
PATCH /api/v1/account accountUpdate
POST /api/v1/account/convertDust convertDust
GET /api/v1/account/limits/borrow maxBorrowQuantity
GET /api/v1/account/limits/order maxOrderQuantity
GET /api/v1/account/limits/withdrawal maxWithdrawalQuantity
GET /api/v1/borrowLend/positions borrowLendPositionQuery
POST /api/v1/borrowLend borrowLendExecute
GET /api/v1/capital balanceQuery
GET /api/v1/capital/collateral collateralQuery
GET /wapi/v1/capital/deposits depositQueryAll
GET /wapi/v1/capital/deposit/address depositAddressQuery
GET /api/v1/order orderQuery
POST /api/v1/order orderExecute
DELETE /api/v1/order orderCancel
POST /api/v1/orders orderExecute
GET /api/v1/orders orderQueryAll
DELETE /api/v1/orders orderCancelAll
GET /api/v1/position positionQuery
POST /api/v1/rfq/quote quoteSubmit
GET /api/v1/rfqs rfqQuery
POST /api/v1/rfq rfqSubmit
POST /api/v1/rfq/accept quoteAccept
POST /api/v1/rfq/refresh rfqRefresh
POST /api/v1/rfq/cancel rfqCancel
GET /api/v1/strategy strategyQuery
POST /api/v1/strategy strategyCreate
DELETE /api/v1/strategy strategyCancel
GET /api/v1/strategies strategyQueryAll
DELETE /api/v1/strategies strategyCancelAll
POST /api/v1/vault/mint vaultMint
POST /api/v1/vault/redeem vaultRedeemRequest
DELETE /api/v1/vault/redeem vaultRedeemCancel
GET /api/v1/vault/redeems/pending vaultPendingRedeemsQuery
GET /api/v1/vault/nav vaultNavQuery
GET /wapi/v1/capital/withdrawals withdrawalQueryAll
POST /wapi/v1/capital/withdrawals withdraw
GET /wapi/v1/history/borrowLend borrowHistoryQueryAll
GET /wapi/v1/history/interest interestHistoryQueryAll
GET /wapi/v1/history/borrowLend/positions borrowPositionHistoryQueryAll
GET /wapi/v1/history/dust dustHistoryQueryAll
GET /wapi/v1/history/fills fillHistoryQueryAll
GET /wapi/v1/history/funding fundingHistoryQueryAll
GET /wapi/v1/history/orders orderHistoryQueryAll
GET /wapi/v1/history/rfq rfqHistoryQueryAll
GET /wapi/v1/history/quote quoteHistoryQueryAll
GET /wapi/v1/history/rfq/fill rfqFillHistoryQueryAll
GET /wapi/v1/history/quote/fill quoteFillHistoryQueryAll
GET /wapi/v1/history/settlement settlementHistoryQueryAll
GET /wapi/v1/history/strategies strategyHistoryQueryAll
GET /wapi/v1/history/position positionHistoryQueryAll
"""
ENDPOINTS = [line.split() for line in TABLE.split("\n") if line]

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def venue(tmp_path_factory):
    directory = tmp_path_factory.mktemp("venue")
    async with running_venue(
        directory,
        taker_delay_seconds=0.0,
        requests_per_minute=100_000,
        history_requests_per_minute=100_000,
    ) as venue:
        venue.advance(5)
        yield venue


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def trader(venue):
    async with signed_client(venue) as client:
        yield client


def given_to(method: str, path: str) -> dict[str, object]:
    """Parameters that the endpoint takes, where they belong."""
    if method == "GET":
        return {"query": QUERIES.get(path, {})}
    body = [ORDER] if (method, path) == ("POST", "/api/v1/orders") else BODIES.get(path, {})
    if (method, path) == ("DELETE", "/api/v1/order"):
        body = {"symbol": "SOL_USDC", "orderId": "1"}
    return {"body": body}


@pytest.mark.parametrize(("method", "path", "instruction"), ENDPOINTS)
async def test_every_signed_endpoint_is_there_and_wants_its_own_signature(
    trader, method, path, instruction
):
    """It answers, or says in JSON that it is not modelled; another instruction is refused."""
    given = given_to(method, path)
    answer = await trader.request(method, path, instruction, **given)
    assert answer.status in {200, 404, 501}
    if answer.status == 501:
        assert answer.json["code"] == "NOT_IMPLEMENTED"
        assert path in answer.json["message"]
    if answer.status == 404:
        assert answer.json == {"code": "RESOURCE_NOT_FOUND", "message": "Not Found"}
    wrong = await trader.request(method, path, f"{instruction}x", **given)
    assert wrong.status == 400
    assert wrong.json == RECORDED["bad_signature"]["json"]


@pytest.mark.parametrize(
    "changes",
    [
        {"price": "91"},
        {"reduceOnly": True},
        {"clientId": 8},
        {"quantity": "2.0"},
        {"extra": "x"},
        {"side": "Ask"},
    ],
)
async def test_a_body_that_was_changed_on_the_way_is_refused(trader, changes):
    """By value, by type, by an added key, and by another way to write the same number."""
    answer = await trader.request(
        "POST", "/api/v1/order", "orderExecute", body=ORDER | changes, signed=ORDER
    )
    assert (answer.status, answer.json) == (400, RECORDED["bad_signature"]["json"])


async def test_a_null_is_sent_but_not_signed(trader):
    """None is left out of the string."""
    answer = await trader.place(**ORDER | {"quoteQuantity": None, "brokerId": None})
    assert answer.status == 200


async def test_a_query_that_was_changed_on_the_way_is_refused(trader):
    """Added, taken away, repeated."""
    for query in ({"symbol": "BTC_USDC"}, {}, {"symbol": "SOL_USDC", "x": "1"}):
        answer = await trader.request(
            "GET", "/api/v1/orders", "orderQueryAll", query=query, signed={"symbol": "SOL_USDC"}
        )
        assert answer.json == RECORDED["bad_signature"]["json"]


async def test_a_batch_is_signed_order_by_order(trader):
    """In their order; one string over all of them as if they were one is refused."""
    batch = [ORDER, ORDER | {"clientId": 8}]
    turned = await trader.request(
        "POST", "/api/v1/orders", "orderExecute", body=batch, signed=batch[::-1]
    )
    assert turned.json == RECORDED["bad_signature"]["json"]
    first_only = await trader.request(
        "POST", "/api/v1/orders", "orderExecute", body=batch, signed=batch[:1]
    )
    assert first_only.json == RECORDED["bad_signature"]["json"]


@pytest.mark.parametrize(
    ("name", "headers"),
    [
        ("bad_signature", {"X-API-Key": "AAAA"}),
        ("bad_signature", {"X-Window": "6000"}),
        ("expired_request", {"X-Timestamp": "1750793021519"}),
        ("bad_timestamp", {"X-Timestamp": "now"}),
    ],
)
async def test_bad_headers_get_the_recorded_refusals(trader, name, headers):
    """Status, content type and body."""
    answer = await trader.request("GET", "/api/v1/capital", "balanceQuery", headers=headers)
    recorded = RECORDED[name]
    assert (answer.status, answer.json) == (recorded["status"], recorded["json"])
    assert answer.headers["Content-Type"] == recorded["headers"]["Content-Type"]


@pytest.mark.parametrize(
    ("method", "ids"),
    [("GET", {}), ("DELETE", {}), ("DELETE", {"orderId": "1", "clientId": 1})],
)
async def test_one_id_it_must_be(trader, method, ids):
    """Neither none nor both."""
    params = {"symbol": "SOL_USDC", **ids}
    instruction = "orderQuery" if method == "GET" else "orderCancel"
    sent = {"query": params} if method == "GET" else {"body": params}
    answer = await trader.request(method, "/api/v1/order", instruction, **sent)
    assert (answer.status, answer.json["code"]) == (400, "INVALID_CLIENT_REQUEST")


async def test_an_unknown_symbol_in_a_query_is_refused_in_json(trader):
    """As on the public endpoints."""
    for path, instruction in (
        ("/api/v1/orders", "orderQueryAll"),
        ("/api/v1/position", "positionQuery"),
        ("/wapi/v1/history/fills", "fillHistoryQueryAll"),
    ):
        answer = await trader.get(path, instruction, symbol="NOPE")
        assert (answer.status, answer.json) == (400, RECORDED["market_unknown"]["json"])


async def test_a_closed_market_takes_no_order(trader):
    """It has no book to place it in."""
    answer = await trader.place(**ORDER | {"symbol": "HNT_USDC", "price": "2"})
    assert (answer.status, answer.json["code"]) == (400, "TRADING_PAUSED")


async def test_over_the_limit_is_429_in_json_for_that_account_alone(tmp_path):
    """Histories sooner than the rest; no Retry-After was ever seen."""
    async with (
        running_venue(tmp_path, requests_per_minute=3, history_requests_per_minute=1) as venue,
        signed_client(venue) as trader,
        signed_client(venue, "house") as house,
    ):
        path, instruction = "/wapi/v1/history/orders", "orderHistoryQueryAll"
        assert (await trader.get(path, instruction)).status == 200
        over = await trader.get(path, instruction)
        recorded = RECORDED["rate_limited"]
        assert (over.status, over.json) == (recorded["status"], recorded["json"])
        assert "Retry-After" not in over.headers
        statuses = [(await trader.get("/api/v1/capital", "balanceQuery")).status for _ in range(3)]
        assert statuses == [200, 200, 429]
        assert (await house.get("/api/v1/capital", "balanceQuery")).status == 200


async def test_the_two_accounts_have_keys_of_their_own(venue):
    """Both files are their owner's alone, and neither key is the other's."""
    files = [venue.api_key_file, venue.trader_api_key_file]
    assert files[1].name == "trader_api_key.json"
    assert {file.stat().st_mode & 0o777 for file in files} == {0o600}
    keys = [json.loads(file.read_text())["api_key"] for file in files]
    assert keys[0] != keys[1]
    async with signed_client(venue, "house") as house, signed_client(venue) as trader:
        balances = [
            (await client.get("/api/v1/capital", "balanceQuery")).json["USDC"]
            for client in (house, trader)
        ]
    assert balances[0] != balances[1]


async def test_unsigned_requests_are_refused_everywhere(venue: Sandbox):
    """No endpoint of the table answers without a signature."""
    async with rest_client(venue) as http:
        for method, path, _ in ENDPOINTS:
            given = given_to(method, path)
            async with http.request(
                method, path, params=given.get("query"), json=given.get("body")
            ) as answer:
                assert (answer.status, await answer.json()) == (
                    400,
                    RECORDED["bad_timestamp"]["json"],
                )
