"""Every recorded exchange that the venue can be asked for, asked for live and compared by schema."""

import json
from contextlib import contextmanager

import pytest
import pytest_asyncio

from tests.support.backpack_fixtures import load_fixture
from tests.support.sandbox_client import rest_client, running_venue
from tests.support.shapes import Shape, decimals_not_normalised

RECORDED = {x["name"]: x for x in load_fixture("rest")["exchanges"]}
START = 1_790_900_010
QUIET = "MSFT.US_USDC_PERP"
NEVER_TRADED = "FDVEXTD1B_USDC_PREDICTION"

# what the real venue never sent: drift that a client must bear, and a page of the edge
NOT_OF_THE_VENUE = {"markets_drift", "depth_int_last_update_id", "rate_limited_html"}
OTHER_SYMBOLS = {"depth_empty": NEVER_TRADED, "ticker_no_data": QUIET}
OTHER_QUERIES = {"klines": {"startTime": str(START - 120)}}
NEEDS_A_FAULT = {
    "rate_limited": "rest_429", "status_maintenance": "maintenance",
    "maintenance_503": "maintenance",
}  # fmt: skip
SIGNED = {
    "bad_signature", "expired_request", "bad_timestamp", "order_payload_parse",
    "order_would_take", "order_created", "order_cancel_accepted", "batch_mixed", "capital", "fills",
    "positions",
}  # fmt: skip
PUBLIC = [name for name in RECORDED if name not in SIGNED | NOT_OF_THE_VENUE]

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def venue(tmp_path_factory):
    now = float(START)
    directory = tmp_path_factory.mktemp("venue")
    async with running_venue(directory, trades_per_second=4.0, clock=lambda: now) as venue:
        for _ in range(120):
            now += 1
            venue.advance(1)
        yield venue


@contextmanager
def in_the_state(venue, name: str):
    """The recorded exchange's circumstances, switched on."""
    if name in NEEDS_A_FAULT:
        venue.faults.add(NEEDS_A_FAULT[name])
    try:
        yield
    finally:
        venue.faults.clear()


async def ask(venue, name: str):
    request = RECORDED[name]["request"]
    query = request["query"] | OTHER_QUERIES.get(name, {})
    if name in OTHER_SYMBOLS:
        query["symbol"] = OTHER_SYMBOLS[name]
    async with (
        rest_client(venue) as http,
        http.request(request["method"], request["path"], params=query) as answer,
    ):
        return answer.status, answer.headers, await answer.text()


@pytest.mark.parametrize("name", PUBLIC)
async def test_an_answer_has_the_recorded_status_and_headers(venue, name):
    """The content type exactly; the cache header where one was seen; every paging header."""
    recorded = RECORDED[name]
    with in_the_state(venue, name):
        status, headers, _ = await ask(venue, name)
    assert status == recorded["status"]
    assert headers["Content-Type"] == recorded["headers"]["Content-Type"]
    if "Cache-Control" in recorded["headers"]:
        assert headers["Cache-Control"] == recorded["headers"]["Cache-Control"]
    paging = {key for key in recorded["headers"] if key.startswith("X-") and key != "X-Cache"}
    assert paging <= headers.keys()
    assert all(headers[key].isdigit() for key in paging)


@pytest.mark.parametrize("name", [n for n in PUBLIC if "json" in RECORDED[n]])
async def test_a_json_answer_has_the_recorded_shape(venue, name):
    """The same keys, the same JSON types, null only where null was seen or is documented."""
    recorded = RECORDED[name]["json"]
    with in_the_state(venue, name):
        _, _, text = await ask(venue, name)
    body = json.loads(text)
    assert list(learned(name).faults(body)) == []
    assert not decimals_not_normalised(body)
    if RECORDED[name]["status"] >= 400:
        assert body == recorded


@pytest.mark.parametrize("name", [n for n in PUBLIC if "text" in RECORDED[n]])
async def test_a_text_answer_is_the_recorded_one(venue, name):
    """Byte for byte, but for the clock, which is thirteen digits."""
    with in_the_state(venue, name):
        _, _, text = await ask(venue, name)
    if name == "time":
        assert text.isdigit()
        assert len(text) == len(RECORDED[name]["text"])
    else:
        assert text == RECORDED[name]["text"]


async def test_every_exchange_is_asked_for_or_named_here():
    """A new recording may not be passed over in silence."""
    assert set(PUBLIC) | SIGNED | NOT_OF_THE_VENUE == RECORDED.keys()
    assert not SIGNED & NOT_OF_THE_VENUE


def learned(name: str) -> Shape:
    """The recorded shape; one spot market alone tells nothing of what perpetuals fill."""
    rows = RECORDED["markets"]["json"] if name == "market_one" else [RECORDED[name]["json"]]
    return Shape(rows)
