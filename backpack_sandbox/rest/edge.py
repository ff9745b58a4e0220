"""What stands between the socket and the endpoints: parser refusals and the framework's own."""

from collections.abc import Awaitable, Callable
from http import HTTPStatus

from aiohttp import web

from backpack_sandbox.constants import API_PREFIX, CONTROL_PREFIX, HISTORY_PREFIX
from backpack_sandbox.rest import answers
from backpack_sandbox.rest.parameters import ParameterError

type Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@web.middleware
async def plain_refusals(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer in one of the venue's two formats whatever an endpoint or aiohttp raises."""
    try:
        return await handler(request)
    except ParameterError as refusal:
        return answers.unparsable(refusal.parameter, refusal.reason)
    except web.HTTPException as refusal:
        phrase = HTTPStatus(refusal.status).phrase.lower()
        return answers.text_answer(f"{refusal.status} {phrase}", status=refusal.status)


def is_api(path: str) -> bool:
    """The path lies where only endpoints live, so that it is no websocket's."""
    return path.startswith((f"{API_PREFIX}/", f"{HISTORY_PREFIX}/", f"{CONTROL_PREFIX}/"))


def no_endpoint(request: web.Request) -> web.Response:
    """405 when the path takes another method, else 404."""
    paths = {resource.canonical for resource in request.app.router.resources()}
    return answers.wrong_method() if request.path in paths else answers.unknown_path()
