"""The sandbox's own endpoints for faults, nasty inputs, scenarios and the market's switch."""

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from aiohttp import web

from backpack_sandbox.constants import CONTROL_PREFIX
from backpack_sandbox.errors import SandboxError
from backpack_sandbox.faults.catalogue import KINDS
from backpack_sandbox.faults.nasty import nasty_inputs
from backpack_sandbox.faults.nasty_sender import NastyOrder, NastySender
from backpack_sandbox.faults.orders import read_fault_order
from backpack_sandbox.faults.player import Market, ScenarioPlayer
from backpack_sandbox.faults.registry import Fault, FaultRegistry
from backpack_sandbox.faults.scenario import find_scenario, read_scenario
from backpack_sandbox.rest import answers

type Handler = Callable[[web.Request], Awaitable[web.Response]]


class ScenarioRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of POST /sandbox/scenarios; `yaml` is the text of a scenario that is in no file."""

    name: str
    yaml: str | None = None
    speed: float = 1.0
    user_agent: str = "*"


class ControlRest:
    """What tests, the demo and the report command; no exchange has these.

    Every answer is JSON; what cannot be is 400 `{"error": reason}`.
    """

    def __init__(
        self,
        faults: FaultRegistry,
        nasty: NastySender,
        player: ScenarioPlayer,
        market: Market,
    ) -> None:
        self._faults = faults
        self._nasty = nasty
        self._player = player
        self._market = market

    def routes(self) -> list[web.RouteDef]:
        """Every control endpoint."""
        root = CONTROL_PREFIX
        return [
            web.post(f"{root}/faults", _judged(self.add_fault)),
            web.get(f"{root}/faults", self.list_faults),
            web.delete(f"{root}/faults", self.clear_faults),
            web.get(f"{root}/faults/catalogue", self.list_kinds),
            web.delete(root + r"/faults/{fault_id:\d+}", self.remove_fault),
            web.get(f"{root}/nasty", self.list_nasty),
            web.post(f"{root}/nasty", _judged(self.send_nasty)),
            web.get(f"{root}/scenarios", self.tell_scenario),
            web.post(f"{root}/scenarios", _judged(self.play_scenario)),
            web.delete(f"{root}/scenarios", self.stop_scenario),
            web.post(root + "/market/{order:pause|resume}", self.switch_market),
        ]

    async def add_fault(self, request: web.Request) -> web.Response:
        """Start a fault: {"id"}."""
        order = read_fault_order(msgspec.json.decode(await _body(request)))
        return answers.json_answer({"id": self._faults.start(order).fault_id})

    async def list_faults(self, _request: web.Request) -> web.Response:
        """The active faults, then those that wait for their time."""
        bodies = [self._fault_body(fault, active=True) for fault in self._faults.active()]
        bodies += [self._fault_body(fault, active=False) for fault in self._faults.waiting()]
        return answers.json_answer(bodies)

    async def list_kinds(self, _request: web.Request) -> web.Response:
        """What every fault is."""
        return answers.json_answer([kind.body() for kind in KINDS.values()])

    async def clear_faults(self, _request: web.Request) -> web.Response:
        """End every fault."""
        self._faults.clear()
        return answers.json_answer({})

    async def remove_fault(self, request: web.Request) -> web.Response:
        """End one fault; 404 when it is not active."""
        fault_id = int(request.match_info["fault_id"])
        if self._faults.remove(fault_id):
            return answers.json_answer({})
        return answers.json_answer({"error": f"no active fault {fault_id}"}, status=404)

    async def list_nasty(self, _request: web.Request) -> web.Response:
        """Every nasty input."""
        return answers.json_answer(list(nasty_inputs().values()))

    async def send_nasty(self, request: web.Request) -> web.Response:
        """Begin to send one: {"sockets": how many get it, "answers": how many are armed}."""
        order = msgspec.json.decode(await _body(request), type=NastyOrder)
        return answers.json_answer(self._nasty.send(order))

    async def tell_scenario(self, _request: web.Request) -> web.Response:
        """What is being played."""
        return answers.json_answer(self._player.status())

    async def play_scenario(self, request: web.Request) -> web.Response:
        """Begin to play one; what is being played."""
        order = msgspec.json.decode(await _body(request), type=ScenarioRequest)
        if order.yaml is None:
            scenario = find_scenario(order.name)
        else:
            scenario = read_scenario(order.yaml, order.name)
        self._player.play(scenario, speed=order.speed, user_agent=order.user_agent)
        return answers.json_answer(self._player.status())

    async def stop_scenario(self, _request: web.Request) -> web.Response:
        """End the scenario and all that it began."""
        await self._player.stop()
        return answers.json_answer(self._player.status())

    async def switch_market(self, request: web.Request) -> web.Response:
        """Pause or resume every market; sockets stay open."""
        self._market.paused = request.match_info["order"] == "pause"
        return answers.json_answer({"paused": self._market.paused})

    def _fault_body(self, fault: Fault, *, active: bool) -> dict[str, Any]:
        order = fault.order
        begins_in, ends_in = self._faults.seconds_left(fault)
        return {
            "id": fault.fault_id,
            "fault": fault.name,
            "active": active,
            "begins_in_seconds": round(begins_in, 3),
            "ends_in_seconds": None if ends_in is None else round(ends_in, 3),
            "user_agent": order.user_agent,
            "symbols": None if order.symbols is None else sorted(order.symbols),
            "streams": order.streams,
            "share": order.share,
            "after_seconds": order.after_seconds,
            **order.parameters,
        }


def _judged(handler: Handler) -> Handler:
    async def judged(request: web.Request) -> web.Response:
        try:
            return await handler(request)
        except (msgspec.MsgspecError, SandboxError) as error:
            return answers.json_answer({"error": str(error)}, status=400)

    return judged


async def _body(request: web.Request) -> bytes:
    body = await request.read()
    if not body.strip():
        raise SandboxError("the body is empty: send a JSON object")
    return body
