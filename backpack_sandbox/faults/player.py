"""Plays a scenario inside the venue."""

import asyncio
from collections.abc import Callable
from typing import Any, Final, Literal, Protocol

from msgspec.structs import replace

from backpack_sandbox.errors import SandboxError
from backpack_sandbox.faults.nasty_sender import NastyOrder, NastySender
from backpack_sandbox.faults.orders import FaultOrder
from backpack_sandbox.faults.registry import FaultRegistry
from backpack_sandbox.faults.scenario import MarketOrder, Scenario, Step

SPEED_MAX: Final = 1000.0


class Market(Protocol):
    """What a scenario does to the markets as a whole."""

    paused: bool
    pace: float


class ScenarioPlayer:
    """Plays one scenario at a time; `clock` is monotonic seconds."""

    def __init__(
        self,
        faults: FaultRegistry,
        nasty: NastySender,
        market: Market,
        clock: Callable[[], float],
    ) -> None:
        self._faults = faults
        self._nasty = nasty
        self._market = market
        self._clock = clock
        self._task: asyncio.Task[None] | None = None
        self._status: dict[str, Any] = {"playing": None}
        self._begun: list[int] = []
        self._number = 0
        self._before = market.paused, market.pace

    def play(self, scenario: Scenario, *, speed: float = 1.0, user_agent: str = "*") -> None:
        """Begin at once, `speed` times as fast; with `user_agent` for those clients only.

        SandboxError while another one is played, or for a market that the venue does not have.
        """
        if self._task is not None and not self._task.done():
            raise SandboxError(f"{self._status['playing']} is being played: stop it first")
        if not 0 < speed <= SPEED_MAX:
            raise SandboxError(f"speed was {speed:g}, must be above 0 and at most {SPEED_MAX:g}")
        self._check_faults(scenario)
        self._begun = []
        self._before = self._market.paused, self._market.pace
        self._number += 1
        self._status = {"playing": scenario.name, "id": self._number, "speed": speed, "step": 0}
        self._status |= {"steps": len(scenario.steps), "seconds": scenario.seconds / speed}
        self._task = asyncio.create_task(self._run(scenario, speed, user_agent))

    def status(self) -> dict[str, Any]:
        """What is being played and how far; afterwards `"playing": null` and what was `last`.

        `ended` is then "over", or "stopped" when somebody did not let it come to its end.
        """
        return dict(self._status)

    async def stop(self) -> None:
        """End the scenario and all that it began; pause and pace are what they were before it."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None
        await self._nasty.stop()
        for fault_id in self._begun:
            self._faults.remove(fault_id)
        if self._status["playing"]:
            self._end("stopped")

    async def _run(self, scenario: Scenario, speed: float, user_agent: str) -> None:
        started = self._clock()
        for number, step in enumerate(scenario.steps, 1):
            await self._until(started + step.at / speed)
            self._do(step, speed, user_agent)
            self._status["step"] = number
        await self._until(started + scenario.seconds / speed)
        self._end("over")

    async def _until(self, moment: float) -> None:
        await asyncio.sleep(max(0.0, moment - self._clock()))

    def _do(self, step: Step, speed: float, user_agent: str) -> None:
        order = step.order
        if isinstance(order, MarketOrder):
            if order.pace is not None:
                self._market.pace = order.pace
            else:
                self._market.paused = order.market == "pause"
        elif isinstance(order, NastyOrder):
            wait = None if order.wait_seconds is None else order.wait_seconds / speed
            self._nasty.send(replace(order, wait_seconds=wait, **_aim(user_agent)))
        else:
            fault = self._faults.start(_hastened(order, speed, user_agent))
            self._begun.append(fault.fault_id)

    def _end(self, how: Literal["over", "stopped"]) -> None:
        self._market.paused, self._market.pace = self._before
        last = self._status["playing"]
        self._status = {"playing": None, "last": last, "id": self._number, "ended": how}

    def _check_faults(self, scenario: Scenario) -> None:
        for step in scenario.steps:
            if isinstance(step.order, FaultOrder):
                try:
                    self._faults.check(step.order)
                except SandboxError as error:
                    raise SandboxError(f"{scenario.name}: {error}") from error


def _hastened(order: FaultOrder, speed: float, user_agent: str) -> FaultOrder:
    """The order with its times `speed` times as short; parameters are what the client sees."""

    def short(seconds: float | None) -> float | None:
        return None if seconds is None else seconds / speed

    aim = _aim(user_agent) if order.kind.by_agent else {}
    return replace(
        order,
        start_after_seconds=order.start_after_seconds / speed,
        duration_seconds=short(order.duration_seconds),
        after_seconds=short(order.after_seconds),
        **aim,
    )


def _aim(user_agent: str) -> dict[str, str]:
    """A scenario's own aim counts when the player was given none."""
    return {} if user_agent == "*" else {"user_agent": user_agent}
