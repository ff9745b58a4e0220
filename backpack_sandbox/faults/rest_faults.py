"""What the active faults do to REST: refusals in front of the endpoints, other answers behind."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

import msgspec
from aiohttp import web

from backpack_sandbox.constants import API_PREFIX, CONTROL_PREFIX, HISTORY_PREFIX
from backpack_sandbox.faults.catalogue import REQUEST_FAULTS
from backpack_sandbox.faults.closed_markets import close_listed, refuse_closed
from backpack_sandbox.faults.moments import Moments
from backpack_sandbox.faults.names import FaultName
from backpack_sandbox.faults.old_answers import OldAnswers
from backpack_sandbox.faults.one_shots import OneShots
from backpack_sandbox.faults.registry import Fault, FaultRegistry
from backpack_sandbox.faults.rest_refusals import refuse
from backpack_sandbox.faults.skew import SkewedClock
from backpack_sandbox.faults.stale_cdn import EdgeCache
from backpack_sandbox.rest import answers

MOMENT_FAULTS: Final = frozenset(
    {FaultName.OLD_DEPTH, FaultName.OLD_TRADES, FaultName.SEQUENCE_RESTART}
)
_TOLD_BY_AGE: Final = frozenset({FaultName.OLD_DEPTH, FaultName.OLD_TRADES})
_FRAMING: Final = frozenset({"content-length", "content-type"})

type Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
type Rewrite = Callable[[Fault, web.Request, Any], Any]


class RestFaults:
    """Middleware in front of the venue's endpoints and sockets; `/sandbox` is never touched.

    `clock` is monotonic seconds.
    """

    def __init__(
        self,
        faults: FaultRegistry,
        skewed_clock: SkewedClock,
        old: OldAnswers,
        moments: Moments,
        one_shots: OneShots,
        *,
        clock: Callable[[], float],
    ) -> None:
        self._faults = faults
        self._skewed_clock = skewed_clock
        self._moments = moments
        self._one_shots = one_shots
        self._clock = clock
        self._edge = EdgeCache(clock)
        self._requests = 0
        self._rewrites: Mapping[FaultName, Rewrite] = {
            FaultName.OLD_DEPTH: old.old_depth,
            FaultName.OLD_TRADES: old.old_trades,
            FaultName.SNAPSHOT_OLD: old.trailing_depth,
            FaultName.SEQUENCE_RESTART: old.renumbered,
            FaultName.MARKET_CLOSED: close_listed,
        }

    @web.middleware
    async def middleware(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Answer in the handler's place, or change its answer, when a fault hits the request."""
        if request.path.startswith(f"{CONTROL_PREFIX}/"):
            return await handler(request)
        self._requests += 1
        user_agent = request.headers.get("User-Agent", "")
        self._skewed_clock.turn_to(user_agent)
        hitting = [
            fault
            for fault in self._faults.named(REQUEST_FAULTS)
            if fault.hits_request(user_agent, self._requests)
        ]
        if not request.path.startswith((f"{API_PREFIX}/", f"{HISTORY_PREFIX}/")):
            closed = any(fault.name is FaultName.MAINTENANCE for fault in hitting)
            return answers.unavailable() if closed else await handler(request)
        if (answer := self._one_shots.take(request)) is not None:
            return answer
        for fault in hitting:
            if (answer := await self._refuse(fault, request)) is not None:
                return answer
        return self._rewritten(hitting, request, await self._asked(request, handler))

    async def _refuse(self, fault: Fault, request: web.Request) -> web.Response | None:
        if fault.name is FaultName.STALE_CDN:
            return self._edge.answer(request)
        if fault.name is FaultName.MARKET_CLOSED:
            return await refuse_closed(fault, request)
        return refuse(fault.order, request)

    async def _asked(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        answer = await handler(request)
        self._edge.keep(request, answer)
        return answer

    def _rewritten(
        self, faults: list[Fault], request: web.Request, answer: web.StreamResponse
    ) -> web.StreamResponse:
        rewriting = [fault for fault in faults if fault.name in self._rewrites]
        if not (rewriting and _is_json(answer)):
            return answer
        before = after = msgspec.json.decode(answer.body)  # type: ignore[attr-defined]
        headers = {k: v for k, v in answer.headers.items() if k.lower() not in _FRAMING}
        for fault in rewriting:
            earlier = after
            after = self._rewrites[fault.name](fault, request, earlier)
            if after is not earlier and fault.name in _TOLD_BY_AGE:
                age = self._clock() - self._moments.of(fault.fault_id).at
                headers |= {"Age": str(int(age)), "X-Cache": "Hit from cloudfront"}
        if after is before:
            return answer
        return answers.json_answer(after, headers=headers)


def _is_json(answer: web.StreamResponse) -> bool:
    return (
        isinstance(answer, web.Response)
        and answer.status == web.HTTPOk.status_code
        and answer.content_type == "application/json"
        and bool(answer.body)
    )
