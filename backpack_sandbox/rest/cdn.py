"""The content delivery network in front of REST: answers from its cache.

Off by default: a test wants to see what is true now. When on, a cached endpoint's answer is kept
per path and full query string for its s-maxage, so that a unique parameter misses, and `Age` is
the only sign of an old answer. While the origin fails, answers up to an hour old go out.
"""

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from aiohttp import web

HIT: Final = "Hit from cloudfront"
REFRESH_HIT: Final = "RefreshHit from cloudfront"
ANSWERS_KEPT: Final = 10_000
ORIGIN_FAILS_FROM: Final = 500
_DIRECTIVE: Final = re.compile(r"(s-maxage|stale-while-revalidate|stale-if-error)=(\d+)")

type Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class _Kept:
    """An answer of the origin, and how long it may be given; times are monotonic seconds."""

    status: int
    body: bytes
    headers: dict[str, str]
    kept_at: float
    fresh_seconds: int
    revalidate_seconds: int
    error_seconds: int

    def answer(self, now: float, x_cache: str) -> web.Response:
        age = str(int(now - self.kept_at))
        headers = self.headers | {"Age": age, "X-Cache": x_cache}
        return web.Response(status=self.status, body=self.body, headers=headers)


class Cdn:
    """Middleware in front of everything else. `clock` is monotonic seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._kept: dict[str, _Kept] = {}

    @web.middleware
    async def middleware(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Answer from the cache what is fresh in it; ask the origin for the rest."""
        if request.method != "GET":
            return await handler(request)
        key, now = request.raw_path, self._clock()
        kept = self._kept.get(key)
        if kept is not None and now - kept.kept_at < kept.fresh_seconds:
            return kept.answer(now, HIT)
        answer = await handler(request)
        if kept is not None and answer.status >= ORIGIN_FAILS_FROM:
            is_usable = now - kept.kept_at < kept.fresh_seconds + kept.error_seconds
            return kept.answer(now, HIT) if is_usable else answer
        self._keep(key, answer, now)
        if kept is None or now - kept.kept_at >= kept.fresh_seconds + kept.revalidate_seconds:
            return answer
        # stale while it revalidates: this client still gets the old one, the next the new one
        return kept.answer(now, REFRESH_HIT)

    def _keep(self, key: str, answer: web.StreamResponse, now: float) -> None:
        self._kept.pop(key, None)
        lifetimes = dict(_DIRECTIVE.findall(answer.headers.get("Cache-Control", "")))
        if "s-maxage" not in lifetimes or not isinstance(answer, web.Response):
            return
        if len(self._kept) >= ANSWERS_KEPT:
            del self._kept[next(iter(self._kept))]
        body = answer.body if isinstance(answer.body, bytes) else b""
        self._kept[key] = _Kept(
            status=answer.status,
            body=body,
            headers=dict(answer.headers),
            kept_at=now,
            fresh_seconds=int(lifetimes["s-maxage"]),
            revalidate_seconds=int(lifetimes.get("stale-while-revalidate", 0)),
            error_seconds=int(lifetimes.get("stale-if-error", 0)),
        )
