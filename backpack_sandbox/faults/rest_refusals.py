"""What faults answer in an endpoint's place."""

from collections.abc import Callable, Mapping
from typing import Final

from aiohttp import web

from backpack_sandbox.constants import API_PREFIX
from backpack_sandbox.faults.names import FaultName
from backpack_sandbox.faults.orders import FaultOrder
from backpack_sandbox.rest import answers
from backpack_sandbox.rest.answers import ErrorCode

RETRY_AFTER_SECONDS: Final = 1
STATUS_PATH: Final = f"{API_PREFIX}/status"
EDGE_PAGE: Final = (
    "<html><head><title>{0}</title></head><body><h1>{0}</h1>Request blocked.</body></html>"
)


def refuse(order: FaultOrder, request: web.Request) -> web.Response | None:
    """The answer of a fault that refuses requests; None when this one does not."""
    make = _REFUSALS.get(order.fault)
    return None if make is None else make(order, request)


def page(status: int) -> web.Response:
    """HTML of the edge, of any status."""
    return web.Response(
        text=EDGE_PAGE.format(status),
        status=status,
        content_type="text/html",
        headers={"X-Cache": "Error from cloudfront"},
    )


def _limited(order: FaultOrder, _request: web.Request) -> web.Response:
    if order.choice("body") == "html":
        return page(429)
    return answers.too_many_requests(RETRY_AFTER_SECONDS)


def _maintained(_order: FaultOrder, request: web.Request) -> web.Response:
    if request.path == STATUS_PATH:
        return answers.json_answer({"message": "Scheduled maintenance", "status": "Maintenance"})
    return answers.maintenance()


_REFUSALS: Final[Mapping[FaultName, Callable[[FaultOrder, web.Request], web.Response]]] = {
    FaultName.REST_429: _limited,
    FaultName.REST_500: lambda _order, _request: answers.json_error(
        500, ErrorCode.SERVER_ERROR, "Internal server error"
    ),
    FaultName.REST_503: lambda _order, _request: answers.unavailable(),
    FaultName.REST_HTML: lambda order, _request: page(int(order.number("status"))),
    FaultName.MAINTENANCE: _maintained,
}
