"""Who may ask the console, from where, and what a browser may do with its answers."""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import urlsplit

from airflow.configuration import conf
from fastapi import HTTPException, Request, status

type Message = MutableMapping[str, Any]
type Send = Callable[[Message], Awaitable[None]]
type Receive = Callable[[], Awaitable[Message]]
type App = Callable[[Message, Receive, Send], Awaitable[None]]

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
TOKEN_HEADER = "x-backpack-console"  # noqa: S105 - a header's name

_HEADERS = {
    # our own files only, nothing inline, no markup out of strings, and in no foreign frame
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'self'; "
        "require-trusted-types-for 'script'; trusted-types 'none'"
    ),
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}
_DEFAULT_HEADERS = {"cache-control": "no-store"}


def refuse_cross_site(request: Request) -> None:
    """Raise 403 for a write that another site could have had a browser send.

    Airflow's session cookie goes with requests that other pages make (SameSite=lax keeps it from
    most, not from a sibling subdomain), so a cookie alone proves no intent. A write needs

    1. a header that is not on the list of those a form or a plain cross-site fetch may set: with
       it, the browser asks first (preflight), and the console never says yes;
    2. where the browser says where the request came from (Sec-Fetch-Site, Origin: every one does
       since 2023), that it was this very origin.

    A program with a bearer token carries no ambient authority: it needs neither.
    """
    if request.method in SAFE_METHODS:
        return
    if request.headers.get("authorization", "").lower().startswith("bearer "):
        return
    if TOKEN_HEADER not in request.headers:
        raise _cross_site(f"the header {TOKEN_HEADER} is missing")
    if request.headers.get("sec-fetch-site", "same-origin") != "same-origin":
        raise _cross_site("it came from another site")
    origin = request.headers.get("origin")
    if origin is not None and urlsplit(origin).netloc not in _own_hosts(request):
        raise _cross_site("it came from another origin")


def _own_hosts(request: Request) -> set[str]:
    """Return what this server is called: by the request, and by the operator ([api] base_url)."""
    configured = urlsplit(conf.get("api", "base_url", fallback="")).netloc
    return {request.headers.get("host", ""), configured} - {""}


def _cross_site(why: str) -> HTTPException:
    return HTTPException(status.HTTP_403_FORBIDDEN, f"cross-site request refused: {why}")


class SecurityHeaders:
    """ASGI middleware: adds the headers to every answer, streams and errors too."""

    def __init__(self, app: App) -> None:
        self._app = app

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Pass the request on, and the answer back with the headers."""

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                given = {name.lower() for name, _ in message["headers"]}
                added = {**_DEFAULT_HEADERS, **_HEADERS}
                message["headers"] = [
                    *message["headers"],
                    *(
                        (name.encode(), value.encode())
                        for name, value in added.items()
                        if name.encode() not in given
                    ),
                ]
            await send(message)

        await self._app(scope, receive, with_headers)
