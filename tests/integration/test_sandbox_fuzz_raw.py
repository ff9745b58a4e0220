"""Bytes that no HTTP library would send: strange methods, paths, headers and bodies.

Either an answer that is no 500 and in one of the venue's two formats, or the connection ends.
"""

import asyncio
import io
import json
import socket
import ssl

import pytest
import pytest_asyncio
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.support.sandbox_client import rest_client, running_venue, trust

TIMEOUT_SECONDS = 10
THREE_HUNDRED = settings(
    max_examples=300,
    deadline=None,
    database=None,
    phases=(Phase.generate,),
    suppress_health_check=list(HealthCheck),
)
NUMBERS = ["-1", "0", "1e400", "9" * 400, "NaN", "٣", "+5", " 5", "0x10", "1.5", "true", "null", ""]
NAMES = [
    "symbol", "limit", "offset", "interval", "startTime", "endTime", "marketType", "priceType",
    "source", "side", "quantity", "resolved", "orderId", "clientId", "from", "to", "sortDirection",
]  # fmt: skip
PATHS = [
    "/api/v1/markets", "/api/v1/market", "/api/v1/depth", "/api/v1/trades", "/api/v1/klines",
    "/api/v1/trades/history", "/api/v1/ticker", "/api/v1/tickers", "/api/v1/markPrices",
    "/api/v1/openInterest", "/api/v1/fundingRates", "/api/v1/prediction", "/api/v1/capital",
    "/api/v1/stockIndicativeQuote", "/api/v1/order", "/api/v1/orders", "/wapi/v1/history/fills",
    "/api/v1/", "/wapi/v1", "/", "//", "/%", "/%00", "/%ff", "/api/v1/depth/../markets", "*",
]  # fmt: skip
SEGMENTS = st.text(
    st.characters(blacklist_characters=" \r\n", blacklist_categories=["Cs"]), max_size=20
)
VALUES = st.sampled_from([*NUMBERS, "SOL_USDC", "SOL_USDC_PERP", "1m", "1d", "Bid"]) | SEGMENTS
QUERIES = st.lists(st.tuples(st.sampled_from(NAMES) | SEGMENTS, VALUES), max_size=5)
METHODS = st.sampled_from(
    ["GET", "GET", "POST", "DELETE", "PATCH", "PUT", "HEAD", "OPTIONS", "BREW"]
)
HEADERS = st.dictionaries(
    st.sampled_from(
        ["X-API-Key", "X-Signature", "X-Timestamp", "X-Window", "Content-Type", "Accept", "Range",
         "If-None-Match", "User-Agent", "Cookie", "Content-Encoding", "Origin", "X-Odd"]
    ),
    st.sampled_from([*NUMBERS, "application/json", "text/html", "gzip", "*/*", "x" * 9000, "\xff\x00"])
    | SEGMENTS,
    max_size=4,
)  # fmt: skip
BODIES = st.binary(max_size=200) | st.sampled_from(
    [b"{}", b"[]", b"null", b'{"symbol":1}', b"[" * 100_000, b'{"symbol":"\\ud800"}', b'"' * 99]
)

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def venue(tmp_path_factory):
    async with running_venue(tmp_path_factory.mktemp("venue")) as venue:
        venue.advance(3)
        yield venue


def exchange(venue, request: bytes) -> bytes:
    """Blocking: everything that comes back until the venue closes."""
    address = ("127.0.0.1", venue.port)
    with (
        socket.create_connection(address, TIMEOUT_SECONDS) as plain,
        trust(venue).wrap_socket(plain, server_hostname="127.0.0.1") as stream,
    ):
        received = b""
        try:
            stream.sendall(request)
            while chunk := stream.recv(65536):
                received += chunk
        except (ConnectionError, ssl.SSLError):
            pass
        return received


def check(answer: bytes, method: str) -> None:
    """Nothing at all, or an HTTP answer that the venue could have meant."""
    if not answer:
        return
    head, _, body = answer.partition(b"\r\n\r\n")
    status = int(head.split(b" ", 2)[1])
    headers = head.lower()
    assert status < 500 or status == 501, answer[:500]
    if status < 400 or method == "HEAD":
        return
    if b"content-type: application/json; charset=utf-8" in headers:
        assert json.loads(body).keys() == {"code", "message"}
    else:
        assert b"content-type: text/plain; charset=utf-8" in headers, answer[:500]


def written(method, path, query, headers, body) -> bytes:
    """The request line by line; nothing is escaped."""
    pairs = "&".join(f"{name}={value}" for name, value in query)
    lines = [
        f"{method} {path}{'?' + pairs if pairs else ''} HTTP/1.1",
        "Host: 127.0.0.1",
        "Connection: close",
        f"Content-Length: {len(body)}",
        *(f"{name}: {value}" for name, value in headers.items()),
    ]
    return "\r\n".join(lines).encode("utf-8", "surrogatepass") + b"\r\n\r\n" + body


@pytest.mark.parametrize("noise", [b"\x00" * 64, b"GET", b"GET / HTTP/9.9\r\n\r\n"])
async def test_bytes_that_are_no_http_end_the_connection(venue, noise):
    """With a refusal in plain text, or with nothing."""
    answer = await asyncio.to_thread(exchange, venue, noise + b"\r\n\r\n")
    check(answer, "GET")
    assert b" 200 " not in answer[:20]


async def test_no_request_breaks_the_venue(venue):
    """Three hundred, each from a connection of its own; then an ordinary client is served."""

    @THREE_HUNDRED
    @given(METHODS, st.sampled_from(PATHS) | SEGMENTS.map("/{}".format), QUERIES, HEADERS, BODIES)
    def ask(method, path, query, headers, body):
        check(exchange(venue, written(method, path, query, headers, body)), method)

    await asyncio.to_thread(ask)
    async with rest_client(venue) as http, http.get("/api/v1/ping") as answer:
        assert await answer.text() == "pong"


async def test_a_body_too_large_is_refused(venue):
    """Before any of it is parsed."""
    async with (
        rest_client(venue) as http,
        http.post("/api/v1/order", data=io.BytesIO(b" " * 3_000_000)) as answer,
    ):
        assert answer.status in {400, 413}
        assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
