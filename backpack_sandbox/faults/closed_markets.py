"""A market that is closed while clients listen to it, as REST tells it."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec
from aiohttp import web

from backpack_sandbox.constants import API_PREFIX
from backpack_sandbox.faults.registry import Fault
from backpack_sandbox.rest import answers
from backpack_sandbox.rest.answers import ErrorCode

ORDER_PATHS: Final = frozenset({f"{API_PREFIX}/order", f"{API_PREFIX}/orders"})
LISTING_PATHS: Final = frozenset({f"{API_PREFIX}/markets", f"{API_PREFIX}/market"})


async def refuse_closed(fault: Fault, request: web.Request) -> web.Response | None:
    """The answer to a request for a closed market; None for all that goes on."""
    symbol = request.query.get("symbol")
    if request.path in ORDER_PATHS and request.method == "POST":
        return await _refuse_order(fault, request)
    if symbol is None or not fault.hits_symbol(symbol):
        return None
    if request.path == f"{API_PREFIX}/depth":
        return answers.closed_market()
    if request.path == f"{API_PREFIX}/markPrices":
        return answers.invalid_request("Symbol not found")
    return None


def close_listed(fault: Fault, request: web.Request, body: Any) -> Any:
    """The JSON of an answer, with the market closed."""
    if request.path in LISTING_PATHS:
        rows = body if isinstance(body, list) else [body]
        closed = [_closed(row) if fault.hits_symbol(row["symbol"]) else row for row in rows]
        return closed if isinstance(body, list) else closed[0]
    if request.path == f"{API_PREFIX}/markPrices":
        return [row for row in body if not fault.hits_symbol(row["symbol"])]
    return body


def _closed(market: Mapping[str, Any]) -> dict[str, Any]:
    return {**market, "orderBookState": "Closed"}


async def _refuse_order(fault: Fault, request: web.Request) -> web.Response | None:
    try:
        body = msgspec.json.decode(await request.read())
    except msgspec.DecodeError:  # the endpoint says what is wrong with it
        return None
    orders: Sequence[Any] = body if isinstance(body, list) else [body]
    wanted = {str(order.get("symbol")) for order in orders if isinstance(order, dict)}
    if any(fault.hits_symbol(symbol) for symbol in wanted):
        return answers.json_error(
            400, ErrorCode.TRADING_PAUSED, "Market takes no orders: it is Closed"
        )
    return None
