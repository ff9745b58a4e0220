"""What every signed endpoint does before it answers: parse, verify, count, and only then act.

The parser speaks before the signature is looked at, as its framework's extractors do; that order
is inferred. So are the texts for a missing or wrong content type.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from aiohttp import web
from multidict import MultiMapping

from backpack_sandbox.account.signing import Params, Refusal, SignatureVerifier
from backpack_sandbox.market.orders import OrderRefusedError
from backpack_sandbox.rest import answers
from backpack_sandbox.rest.payloads import PAYLOAD_ERROR, ParseError, read_json, signed_text
from backpack_sandbox.rest.queries import Query
from backpack_sandbox.rest.rate_limits import RateLimits

STATUSES: Final = {"RESOURCE_NOT_FOUND": 404, "NOT_IMPLEMENTED": 501, "MAINTENANCE": 503}
NO_CONTENT_TYPE: Final = "the client request does not include the `Content-Type` header"
WRONG_CONTENT_TYPE: Final = "the `Content-Type` requested by the client is not supported: "


class RequestRefusedError(Exception):
    """A request that parses and is signed, but cannot be answered. `code` is an ApiErrorCode."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class ContentTypeError(Exception):
    """A body that says it is not JSON."""


@dataclass(frozen=True, slots=True)
class Given:
    """What came with a request: its query, and its body as JSON (None when it has none)."""

    query: Query
    body: Any


@dataclass(frozen=True, slots=True)
class Call[T]:
    """An admitted request of `account`; `value` is what the endpoint read of it."""

    account: str
    value: T
    request: web.Request


@dataclass(frozen=True, slots=True)
class Endpoint[T]:
    """One signed endpoint of table 7.3.

    `read` takes what was given apart, before the signature is looked at: it may raise ParseError
    and, for the edge to answer, ParameterError. `answer` may raise OrderRefusedError and
    RequestRefusedError. `history` endpoints have a limit of their own.
    """

    method: str
    path: str
    instruction: str
    read: Callable[[Given], T]
    answer: Callable[[Call[T]], Awaitable[web.StreamResponse]]
    history: bool = False


class SignedGate:
    """Turns endpoints into routes.

    `refuses_signatures_of` asks by User-Agent whether good signatures are refused too.
    """

    def __init__(
        self,
        verifier: SignatureVerifier,
        limits: RateLimits,
        *,
        refuses_signatures_of: Callable[[str], bool],
    ) -> None:
        self._verifier = verifier
        self._limits = limits
        self._refuses_signatures_of = refuses_signatures_of

    def route(self, endpoint: Endpoint[Any]) -> web.RouteDef:
        """The endpoint behind the gate."""

        async def handle(request: web.Request) -> web.StreamResponse:
            return await self._handle(endpoint, request)

        return web.route(endpoint.method, endpoint.path, handle)

    async def _handle(self, endpoint: Endpoint[Any], request: web.Request) -> web.StreamResponse:
        try:
            body = await _body(request)
            value = endpoint.read(Given(request.query, body))
        except ParseError as error:
            return answers.text_answer(f"{PAYLOAD_ERROR}{error}", status=400)
        except ContentTypeError as error:
            return answers.text_answer(str(error), status=415)
        account = self._verify(endpoint.instruction, request, _blocks(request.query, body))
        if isinstance(account, Refusal):
            return answers.refused(account)
        if not self._limits.admit(account, history=endpoint.history):
            return error_answer("TOO_MANY_REQUESTS", "Too many requests", status=429)
        try:
            return await endpoint.answer(Call(account, value, request))
        except (OrderRefusedError, RequestRefusedError) as error:
            return error_answer(error.code, error.message)

    def _verify(
        self, instruction: str, request: web.Request, blocks: Sequence[Params]
    ) -> str | Refusal:
        if self._refuses_signatures_of(request.headers.get("User-Agent", "")):
            return Refusal.SIGNATURE
        return self._verifier.verify_request(instruction, blocks, request.headers)


def error_answer(code: str, message: str, *, status: int | None = None) -> web.Response:
    """The JSON form of an error, with the status that goes with its code."""
    return answers.json_answer(
        {"code": code, "message": message}, status=status or STATUSES.get(code, 400)
    )


async def _body(request: web.Request) -> Any:
    content = await request.read()
    if request.method == "GET" or not content:
        return None
    if "Content-Type" not in request.headers:
        raise ContentTypeError(NO_CONTENT_TYPE)
    kind, _, name = request.content_type.partition("/")
    if kind != "application" or not (name == "json" or name.endswith("+json")):
        raise ContentTypeError(WRONG_CONTENT_TYPE + request.headers["Content-Type"])
    return read_json(content)


def _blocks(query: MultiMapping[str], body: Any) -> list[Params]:
    """What must have been signed: one block, or one for each order of a batch."""
    if isinstance(body, list):
        return [_pairs(item) for item in body]
    return [[*query.items(), *_pairs(body)]]


def _pairs(value: Any) -> Params:
    if not isinstance(value, dict):
        return []
    return [(key, signed_text(item)) for key, item in value.items() if item is not None]
