"""The recorded exchanges that need an account, asked for live by the trader."""

import pytest
import pytest_asyncio

from tests.support.backpack_fixtures import load_fixture
from tests.support.sandbox_client import SignedAnswer, running_venue, signed_client
from tests.support.shapes import Shape, decimals_not_normalised

RECORDED = {x["name"]: x for x in load_fixture("rest")["exchanges"]}
SPOT, PERP = "USDT_USDC", "SOL_USDC_PERP"
FAR_ASK = {
    "symbol": SPOT, "side": "Ask", "orderType": "Limit", "price": "1.0081", "quantity": "20",
    "postOnly": True,
}  # fmt: skip

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def venue(tmp_path_factory):
    directory = tmp_path_factory.mktemp("venue")
    async with running_venue(directory, taker_delay_seconds=0.0) as venue:
        venue.advance(5)
        yield venue


@pytest_asyncio.fixture(loop_scope="module")
async def trader(venue):
    async with signed_client(venue) as trader:
        yield trader


def check(name: str, answer: SignedAnswer, *, same_body: bool) -> None:
    """Status, content type, and the body: itself where it is an error, else its shape."""
    recorded = RECORDED[name]
    assert answer.status == recorded["status"]
    assert answer.headers["Content-Type"] == recorded["headers"]["Content-Type"]
    if same_body:
        assert (answer.text if "text" in recorded else answer.json) == (
            recorded.get("text", recorded.get("json"))
        )
        return
    assert list(Shape([recorded["json"]]).faults(answer.json)) == []
    assert not decimals_not_normalised(answer.json)


@pytest.mark.parametrize(
    ("name", "age_ms", "spoiled"),
    [
        ("bad_signature", 0, {"X-Signature": "AAAA"}),
        ("expired_request", 6000, {}),
        ("bad_timestamp", 0, {"X-Timestamp": "soon"}),
    ],
)
async def test_a_signature_that_does_not_hold_is_refused(trader, name, age_ms, spoiled):
    """Signed by the trader, then too old, or spoiled in one header."""
    headers = trader.headers("balanceQuery", {}, age_ms=age_ms) | spoiled
    async with trader.http.get("/api/v1/capital", headers=headers) as answer:
        refusal = SignedAnswer(answer.status, answer.headers, await answer.text())
    check(name, refusal, same_body=True)


async def test_an_order_rests_as_recorded_and_is_cancelled(trader):
    """Every key with its explicit null."""
    answer = await trader.place(**FAR_ASK)
    check("order_created", answer, same_body=False)
    assert answer.json["executedQuantity"] == "0"
    body = {"symbol": SPOT, "orderId": answer.json["id"]}
    cancelled = await trader.send("DELETE", "/api/v1/order", "orderCancel", body)
    assert cancelled.status == 200


async def test_orders_that_cannot_be_are_refused_as_recorded(trader):
    """By the payload parser in plain text, by the desk in JSON."""
    check("order_payload_parse", await trader.place(**FAR_ASK | {"symbol": "NOPE"}), same_body=True)
    taking = await trader.place(**FAR_ASK | {"price": "0.9901"})
    check("order_would_take", taking, same_body=True)


async def test_a_batch_answers_item_by_item(trader):
    """HTTP 200 although one of them failed."""
    batch = [FAR_ASK, FAR_ASK | {"quantity": "900000000"}]
    answer = await trader.send("POST", "/api/v1/orders", "orderExecute", batch)
    check("batch_mixed", answer, same_body=False)
    assert [item["operation"] for item in answer.json] == ["Ok", "Err"]


async def test_what_an_account_has_is_told_as_recorded(trader):
    """After one trade each of a spot and of a perpetual market."""
    for symbol in (SPOT, PERP):
        placed = await trader.place(symbol=symbol, side="Bid", orderType="Market", quantity="1")
        assert placed.status == 200
    capital = await trader.get("/api/v1/capital", "balanceQuery")
    recorded = RECORDED["capital"]["json"]
    rows = Shape(recorded.values())
    assert not [fault for row in capital.json.values() for fault in rows.faults(row)]
    positions = await trader.get("/api/v1/position", "positionQuery")
    check("positions", positions, same_body=False)
    path = RECORDED["fills"]["request"]["path"]
    fills = await trader.get(path, "fillHistoryQueryAll", symbol=SPOT, limit=1)
    check("fills", fills, same_body=False)
    assert {key for key in RECORDED["fills"]["headers"] if key != "Content-Type"} <= set(
        fills.headers
    )


async def test_a_cancel_that_is_only_accepted_has_no_body(tmp_path):
    """202, when the venue is told to answer so."""
    settings = {"taker_delay_seconds": 0.0, "cancel_accepted": True}
    async with running_venue(tmp_path, **settings) as venue, signed_client(venue) as trader:
        venue.advance(1)
        placed = await trader.place(**FAR_ASK)
        body = {"symbol": SPOT, "orderId": placed.json["id"]}
        answer = await trader.send("DELETE", "/api/v1/order", "orderCancel", body)
    check("order_cancel_accepted", answer, same_body=True)
