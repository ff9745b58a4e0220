"""Answers that are given once, in an endpoint's place, to the next request they fit."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from fnmatch import fnmatchcase

from aiohttp import web


@dataclass(frozen=True, slots=True)
class OneShot:
    """`path` "*" fits every path of the API; `answer` is None for a connection that breaks."""

    user_agent: str
    path: str
    answer: Callable[[], web.Response] | None

    def fits(self, request: web.Request) -> bool:
        """The request is the one that was waited for."""
        agent = request.headers.get("User-Agent", "")
        return fnmatchcase(agent, self.user_agent) and fnmatchcase(request.path, self.path)


class OneShots:
    """The armed answers, oldest first."""

    def __init__(self) -> None:
        self.armed: deque[OneShot] = deque()

    def take(self, request: web.Request) -> web.Response | None:
        """Answer the request with the first that fits, or break its connection."""
        shot = next((shot for shot in self.armed if shot.fits(request)), None)
        if shot is None:
            return None
        self.armed.remove(shot)
        if shot.answer is not None:
            return shot.answer()
        if request.transport is not None:
            request.transport.abort()
        return web.Response()  # nobody gets it
