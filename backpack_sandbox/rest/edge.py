"""What stands between the socket and the endpoints: parser refusals and the framework's own."""

import logging
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Final

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from backpack_sandbox.constants import API_PREFIX, CONTROL_PREFIX, HISTORY_PREFIX
from backpack_sandbox.errors import SandboxError
from backpack_sandbox.rest import answers
from backpack_sandbox.rest.parameters import ParameterError

CLIENTS_FAULT: Final = (HttpProcessingError, web.RequestPayloadError)

type Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@web.middleware
async def plain_refusals(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer in one of the venue's two formats whatever an endpoint or aiohttp raises."""
    try:
        return await handler(request)
    except ParameterError as refusal:
        return answers.unparsable(refusal.parameter, refusal.reason)
    except web.HTTPException as refusal:
        return _phrase(HTTPStatus(refusal.status))
    except (web.RequestPayloadError, ConnectionError):  # a body in no encoding, or half of one
        return _phrase(HTTPStatus.BAD_REQUEST)
    except SandboxError:  # the venue cannot write its ledger any more: it is about to stop
        return answers.unavailable()


def _phrase(status: HTTPStatus) -> web.Response:
    return answers.text_answer(f"{status.value} {status.phrase.lower()}", status=status.value)


def http_log() -> logging.Logger:
    """The log of aiohttp, without a traceback for whatever bytes of a client are no HTTP."""
    log = logging.getLogger("backpack_sandbox.http")
    log.addFilter(_is_worth_a_line)
    return log


def _is_worth_a_line(record: logging.LogRecord) -> bool:
    return not (record.exc_info and isinstance(record.exc_info[1], CLIENTS_FAULT))


def is_api(path: str) -> bool:
    """The path lies where only endpoints live, so that it is no websocket's."""
    return path.startswith((f"{API_PREFIX}/", f"{HISTORY_PREFIX}/", f"{CONTROL_PREFIX}/"))


def no_endpoint(request: web.Request) -> web.Response:
    """405 when the path takes another method, else 404."""
    paths = {resource.canonical for resource in request.app.router.resources()}
    return answers.wrong_method() if request.path in paths else answers.unknown_path()
