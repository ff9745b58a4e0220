"""What the parsers of signed REST refuse, in plain text, and that nothing breaks them."""

import pytest
import pytest_asyncio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.backpack_fixtures import load_fixture
from tests.support.sandbox_client import SignedClient, running_venue, signed_client

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


async def test_a_payload_that_cannot_be_read_is_plain_text(trader):
    """As recorded, letter for letter, whether it is signed or not."""
    recorded = RECORDED["order_payload_parse"]
    answer = await trader.place(**ORDER | {"symbol": "NOPE"})
    assert (answer.status, answer.text) == (recorded["status"], recorded["text"])
    assert answer.headers["Content-Type"] == recorded["headers"]["Content-Type"]
    unsigned = await trader.http.post("/api/v1/order", json=ORDER | {"symbol": "NOPE"})
    assert await unsigned.text() == recorded["text"]


@pytest.mark.parametrize(
    ("headers", "content", "status", "text"),
    [
        (
            {"Content-Type": "application/json"},
            b"{",
            400,
            "Bad Request parse request payload error: EOF while parsing a value at line 1 column 2",
        ),
        (
            {"Content-Type": "text/plain"},
            b"{}",
            415,
            "the `Content-Type` requested by the client is not supported: text/plain",
        ),
        (
            {},
            b"",
            400,
            (
                'Bad Request parse request payload error: Expected input type "OrderExecutePayload",'
                " found null."
            ),
        ),
    ],
)
async def test_a_body_that_is_no_json_is_plain_text(trader, headers, content, status, text):
    """Broken, of another type, or not there."""
    async with trader.http.post("/api/v1/order", data=content, headers=headers) as answer:
        assert (answer.status, await answer.text()) == (status, text)


@pytest.mark.parametrize(
    ("path", "instruction", "query", "text"),
    [
        (
            "/wapi/v1/history/fills",
            "fillHistoryQueryAll",
            {"limit": "1001"},
            (
                "failed to parse parameter `limit`: verification failed. "
                "maximum(1000, exclusive: false)"
            ),
        ),
        (
            "/wapi/v1/history/fills",
            "fillHistoryQueryAll",
            {"fillType": "Mine"},
            (
                'failed to parse parameter `fillType`: failed to parse "FillType": '
                "Expect a valid enumeration value."
            ),
        ),
        (
            "/wapi/v1/history/orders",
            "orderHistoryQueryAll",
            {"sortDirection": "up"},
            (
                'failed to parse parameter `sortDirection`: failed to parse "SortDirection": '
                "Expect a valid enumeration value."
            ),
        ),
        (
            "/api/v1/orders",
            "orderQueryAll",
            {"marketType": "SPOTS"},
            (
                'failed to parse parameter `marketType`: failed to parse "MarketType": '
                "Expect a valid enumeration value."
            ),
        ),
        (
            "/api/v1/order",
            "orderQuery",
            {},
            'failed to parse parameter `symbol`: Type "string" expects an input value.',
        ),
    ],
)
async def test_a_query_that_cannot_be_read_is_plain_text(trader, path, instruction, query, text):
    """The parameter is named."""
    answer = await trader.get(path, instruction, **query)
    assert (answer.status, answer.text) == (400, text)
    assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"


VALUES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(max_size=8)
    | st.lists(st.integers(), max_size=2)
    | st.decimals(allow_nan=False).map(str)
    | st.sampled_from(["Bid", "Ask", "Limit", "Market", "SOL_USDC", "SOL_USDC_PERP", "1", "90"])
)
FUZZED = st.dictionaries(st.sampled_from([*ORDER, "quoteQuantity", "timeInForce", "x"]), VALUES)


async def fuzz_once(client: SignedClient, changes: dict[str, object]) -> None:
    for method, path, instruction in (
        ("POST", "/api/v1/order", "orderExecute"),
        ("POST", "/api/v1/orders", "orderExecute"),
        ("DELETE", "/api/v1/order", "orderCancel"),
    ):
        body = ORDER | changes
        sent = [body, ORDER] if path.endswith("s") else body
        answer = await client.request(method, path, instruction, body=sent)
        assert answer.status < 500 or answer.json["code"] == "NOT_IMPLEMENTED"


async def test_no_order_body_breaks_the_venue(venue, trader):
    """Whatever the fields hold, the answer is the venue's own."""
    cases: list[dict[str, object]] = []

    @settings(max_examples=60, database=None, suppress_health_check=list(HealthCheck))
    @given(FUZZED)
    def collect(changes: dict[str, object]) -> None:
        cases.append(changes)

    collect()
    for changes in cases:
        await fuzz_once(trader, changes)


QUERY_NAMES = (
    "symbol",
    "side",
    "price",
    "orderId",
    "clientId",
    "limit",
    "offset",
    "from",
    "to",
    "state",
    "marketType",
    "fillType",
    "sortDirection",
    "reduceOnly",
    "source",
    "strategyId",
)
QUERY_VALUES = st.text(max_size=6) | st.sampled_from(
    [
        "SOL_USDC",
        "BONK_USDC",
        "SOL_USDC_PERP",
        "HNT_USDC",
        "Bid",
        "Ask",
        "1",
        "-1",
        "0",
        "1e9",
        "9" * 40,
        "0." + "0" * 30 + "1",
        "true",
        "Desc",
        "PERP",
        "User",
        "Closed",
        "TradingFees",
    ]
)
QUERIES = st.dictionaries(st.sampled_from(QUERY_NAMES), QUERY_VALUES, max_size=6)
READ = [
    ("/api/v1/account/limits/order", "maxOrderQuantity"),
    ("/api/v1/order", "orderQuery"),
    ("/api/v1/orders", "orderQueryAll"),
    ("/api/v1/position", "positionQuery"),
    ("/wapi/v1/history/fills", "fillHistoryQueryAll"),
    ("/wapi/v1/history/orders", "orderHistoryQueryAll"),
    ("/wapi/v1/history/position", "positionHistoryQueryAll"),
    ("/wapi/v1/history/settlement", "settlementHistoryQueryAll"),
]


async def test_no_query_breaks_the_venue(trader):
    """Any value of any parameter: an answer, or one of the two forms of a refusal."""
    await trader.place(symbol="SOL_USDC_PERP", side="Bid", orderType="Market", quantity="1")
    cases: list[dict[str, str]] = []

    @settings(max_examples=40, database=None, suppress_health_check=list(HealthCheck))
    @given(QUERIES)
    def collect(query: dict[str, str]) -> None:
        cases.append(query)

    collect()
    for query in cases:
        for path, instruction in READ:
            answer = await trader.request("GET", path, instruction, query=query)
            assert answer.status in {200, 400, 404}, (path, query)
