"""The edge's cache while the origin is out of its reach: `stale-if-error` answers."""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from aiohttp import web

KEPT_MAX: Final = 2000


@dataclass(frozen=True, slots=True)
class _Kept:
    at: float
    body: bytes
    headers: dict[str, str]


class EdgeCache:
    """The last good answer to every URL that may be cached; `clock` is monotonic seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._kept: OrderedDict[str, _Kept] = OrderedDict()

    def keep(self, request: web.Request, answer: web.StreamResponse) -> None:
        """Remember an answer of the origin."""
        if not isinstance(answer, web.Response) or answer.status != web.HTTPOk.status_code:
            return
        if not answer.headers.get("Cache-Control", "").startswith("public"):
            return
        body = answer.body if isinstance(answer.body, bytes) else b""
        headers = {k: v for k, v in answer.headers.items() if k.lower() != "content-length"}
        self._kept[request.path_qs] = _Kept(self._clock(), body, headers)
        self._kept.move_to_end(request.path_qs)
        if len(self._kept) > KEPT_MAX:
            self._kept.popitem(last=False)

    def answer(self, request: web.Request) -> web.Response | None:
        """The remembered answer with its age; None on a miss."""
        kept = self._kept.get(request.path_qs)
        if kept is None or request.method != "GET":
            return None
        age = str(int(self._clock() - kept.at))
        headers = kept.headers | {"Age": age, "X-Cache": "Error from cloudfront"}
        return web.Response(body=kept.body, headers=headers)
