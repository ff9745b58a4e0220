"""`{"exchanges": […]}`: recorded REST answers through the feed's REST client.

The client's own retries, refusals and decoding run; the answer's status says what must come out.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, Final

import msgspec

from backpack_feed.errors import DecodeError, FeedError, NoContentError, RetryableError, VenueError
from backpack_feed.replay import virtual_time
from backpack_feed.replay.recorded_rest import OneAnswer, RecordedAnswer, RecordedRest
from backpack_feed.replay.report import Line, Mismatch, compare, plain, table
from backpack_feed.wire.decode import decode_capital
from backpack_feed.wire.rest_errors import refusal
from backpack_feed.wire.symbols import symbol_table

CLOCK_SECONDS: Final = 1_790_900_001.0
_NOTHING = msgspec.Raw(b"")
_REFUSED_FROM: Final = 400
_NO_CONTENT: Final = 204
_RETRYABLE: Final = frozenset({408, 429})
_SERVER_ERROR: Final = 500


class Request(msgspec.Struct):
    """What was asked."""

    method: str
    path: str
    query: dict[str, Any] = {}


class Exchange(msgspec.Struct):
    """A request and its answer, as `json` or as `text`."""

    name: str
    request: Request
    status: int
    headers: dict[str, str] = {}
    json: msgspec.Raw = _NOTHING
    text: str | None = None


class RestFile(msgspec.Struct):
    """The whole file."""

    exchanges: list[Exchange]


def replay(file: RestFile) -> Iterator[Line]:
    """Read every answer."""
    for exchange in file.exchanges:
        yield _line(exchange)


def _line(exchange: Exchange) -> Line:
    request = exchange.request
    read_as, outcome = virtual_time.run(_read(exchange))
    refused = isinstance(outcome, FeedError)
    actual = _class_of(outcome)
    place = f"exchange {exchange.name}"
    mismatches: tuple[Mismatch, ...] = compare(
        place, "class of the outcome", _expected_class(exchange.status), actual
    )
    if isinstance(outcome, VenueError):
        mismatches += compare(place, "status", exchange.status, outcome.status)
    shown = f"{type(outcome).__name__}: {outcome}" if refused else _short(outcome)
    text = table(
        (exchange.name, 26),
        (f"{request.method} {request.path}", 34),
        (exchange.status, 3),
        (read_as, 18),
        (shown, 0),
    )
    record = {"exchange": exchange.name, "path": request.path, "status": exchange.status}
    record |= {"read_as": read_as, "class": actual}
    record |= {"error": shown} if refused else {"result": plain(outcome)}
    return Line(text, record, mismatches)


def _expected_class(status: int) -> str:
    if status in _RETRYABLE or status >= _SERVER_ERROR:
        return "retryable"
    return "refused" if status >= _REFUSED_FROM else "no content" if status == _NO_CONTENT else "ok"


def _class_of(outcome: object) -> str:
    match outcome:
        case NoContentError():
            return "no content"
        case VenueError():
            return "refused"
        case RetryableError():
            return "retryable"
        case DecodeError():
            return "unreadable"
    return "ok"


async def _read(exchange: Exchange) -> tuple[str, Any]:
    """Return (what it was read as, the typed result or the error)."""
    body = bytes(exchange.json) if exchange.text is None else exchange.text.encode()
    started = asyncio.get_running_loop().time()

    def clock() -> float:
        return CLOCK_SECONDS + asyncio.get_running_loop().time() - started

    request = exchange.request
    if request.method != "GET":
        if exchange.status < _REFUSED_FROM:
            return "not sent by us", _content(body)
        return "refusal", refusal(request.path, exchange.status, exchange.headers, body, clock)
    answer = RecordedAnswer(exchange.status, body, exchange.headers)
    rest = RecordedRest(OneAnswer(answer), clock=clock)
    query = {key: str(value) for key, value in request.query.items()}
    read_as, read = _READERS.get(request.path, ("content", _any))
    try:
        return read_as, await read(rest, request.path, query)
    except FeedError as error:
        return read_as, error


async def _markets(rest: RecordedRest, _path: str, _query: dict[str, str]) -> dict[str, Any]:
    answer = await rest.markets_answer()
    names = symbol_table(answer.rows)
    return {
        "markets": sorted(names.to_venue),
        "skipped": names.skipped,
        "unreadable": answer.unreadable,
        "age_seconds": answer.age_seconds,
    }


async def _depth(rest: RecordedRest, _path: str, query: dict[str, str]) -> dict[str, Any]:
    book = await rest.depth(query.get("symbol", ""))
    # both sides ascend, so the best bid is the last one
    return {
        "last_update_id": book.last_update_id,
        "best_bid": book.bids[-1] if book.bids else None,
        "best_ask": book.asks[0] if book.asks else None,
        "levels": [len(book.bids), len(book.asks)],
    }


async def _trades(rest: RecordedRest, _path: str, query: dict[str, str]) -> list[dict[str, Any]]:
    trades = await rest.trades(query.get("symbol", ""))
    return [
        {"id": t.trade_id, "price": t.price, "quantity": t.quantity, "time_us": t.engine_time_us}
        for t in trades
    ]


async def _time(rest: RecordedRest, _path: str, _query: dict[str, str]) -> int:
    return await rest.time_ms()


async def _status(rest: RecordedRest, _path: str, _query: dict[str, str]) -> str:
    return await rest.status()


async def _capital(rest: RecordedRest, path: str, _query: dict[str, str]) -> dict[str, Any]:
    # unsigned: nothing goes anywhere, and a replay has no keys
    capital = decode_capital(await rest.get(path))
    return {asset: msgspec.structs.asdict(balance) for asset, balance in capital.items()}


async def _any(rest: RecordedRest, path: str, query: dict[str, str]) -> Any:
    return _content(await rest.get(path, query))


def _content(body: bytes) -> Any:
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return body.decode(errors="replace")


def _short(outcome: Any) -> str:
    text = msgspec.json.encode(plain(outcome)).decode()
    return text if len(text) <= 100 else f"{text[:97]}…"  # noqa: PLR2004 - one terminal line


type _Reader = Callable[[RecordedRest, str, dict[str, str]], Awaitable[Any]]
_READERS: Final[dict[str, tuple[str, _Reader]]] = {
    "/api/v1/markets": ("markets", _markets),
    "/api/v1/depth": ("depth snapshot", _depth),
    "/api/v1/trades": ("trades", _trades),
    "/api/v1/trades/history": ("trades", _trades),
    "/api/v1/time": ("unix ms", _time),
    "/api/v1/status": ("status", _status),
    "/api/v1/capital": ("balances", _capital),
}
