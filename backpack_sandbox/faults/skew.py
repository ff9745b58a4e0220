"""The venue's clock as one client sees it while a `clock_skew` hits it."""

from collections.abc import Callable
from contextvars import ContextVar
from typing import Final

from backpack_sandbox.faults.names import FaultName
from backpack_sandbox.faults.registry import FaultRegistry

_SHIFT: Final[ContextVar[float]] = ContextVar("venue_clock_shift", default=0.0)


class SkewedClock:
    """Unix seconds of `clock`, shifted for the client whose request is being answered.

    aiohttp serves each connection in a task of its own, so the shift is one of the context.
    """

    def __init__(self, clock: Callable[[], float], faults: FaultRegistry) -> None:
        self._clock = clock
        self._faults = faults

    def __call__(self) -> float:
        """Unix seconds."""
        return self._clock() + _SHIFT.get()

    def turn_to(self, user_agent: str) -> None:
        """From here on this task answers a client with this User-Agent."""
        skews = self._faults.named({FaultName.CLOCK_SKEW})
        hitting = (fault.order for fault in skews if fault.matches_agent(user_agent))
        _SHIFT.set(sum(order.number("skew_seconds") for order in hitting))

    def refuses_signatures_of(self, user_agent: str) -> bool:
        """For a socket that is about to sign: turn to it, and say whether a fault refuses it."""
        self.turn_to(user_agent)
        return self._faults.refuses_signatures_of(user_agent)
