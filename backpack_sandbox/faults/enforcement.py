"""Applies the active faults to the sockets: now, to new ones, and when a fault ends."""

import asyncio
from collections.abc import Callable
from random import Random
from typing import Final

from aiohttp import WSCloseCode

from backpack_sandbox.faults.frame_effects import Memory
from backpack_sandbox.faults.impairment import FRAME_FAULTS, Impairment, make_effect
from backpack_sandbox.faults.registry import ENDING_FAULTS, Fault, FaultName, FaultRegistry
from backpack_sandbox.sockets.fanout import Fanout
from backpack_sandbox.sockets.session import Session

SWEEP_SECONDS: Final = 0.1
ENDED_AFTER_SECONDS: Final = 3.0
STALLING_FAULTS: Final = frozenset({FaultName.STALL, FaultName.BLACKOUT})


class Enforcer:
    """Keeps each session's impairment in step with the registry, and ends sockets.

    `clock` is monotonic seconds; `seed` decides which frames are hit.
    """

    def __init__(
        self, fanout: Fanout, faults: FaultRegistry, clock: Callable[[], float], *, seed: int
    ) -> None:
        self._fanout = fanout
        self._faults = faults
        self._clock = clock
        self._seed = seed
        self._memories: dict[tuple[int, str], Memory] = {}
        self._closing: set[asyncio.Task[None]] = set()
        faults.listeners.append(self.apply)

    def apply(self) -> None:
        """Follow a change of the faults at once."""
        active = {fault.fault_id for fault in self._faults.active()}
        self._memories = {key: kept for key, kept in self._memories.items() if key[0] in active}
        for session in self._fanout:
            self.join(session)
            if session.holds_private and self._hitting(session, {FaultName.AUTH_FAILURE}):
                # it must come back and sign again, and will be refused
                self._close(session, WSCloseCode.OK)

    def join(self, session: Session) -> None:
        """Give one session the impairment it must have now."""
        hitting = self._hitting(session, FRAME_FAULTS)
        former = session.impairment.effects if session.impairment else {}
        effects = {
            fault.fault_id: former.get(fault.fault_id)
            or make_effect(
                fault,
                self._clock,
                # S311 - which frames are hit is no secret
                Random(f"{self._seed}:{fault.fault_id}:{session.number}"),  # noqa: S311
                self._memories.setdefault((fault.fault_id, session.user_agent), {}),
            )
            for fault in hitting
        }
        session.impairment = Impairment(hitting, effects) if hitting else None
        for fault_id in former.keys() - effects.keys():
            session.send_all(former[fault_id].end())
        session.stall(stalled=bool(self._hitting(session, STALLING_FAULTS)))

    async def run(self) -> None:
        """Expire faults, end sockets that are due and let go of held frames, until cancelled."""
        while True:
            self._faults.expire()
            for session in self._fanout:
                if session.impairment is not None:
                    session.send_all(session.impairment.overdue())
                for fault in self._hitting(session, ENDING_FAULTS):
                    if self._clock() - session.opened_at >= _patience(fault, session):
                        self._end(session, fault.name)
            await asyncio.sleep(SWEEP_SECONDS)

    def _hitting(
        self, session: Session, names: frozenset[FaultName] | set[FaultName]
    ) -> list[Fault]:
        return [
            fault
            for fault in self._faults.named(names)
            if fault.hits_socket(session.user_agent, session.number)
        ]

    def _end(self, session: Session, how: FaultName) -> None:
        if how is FaultName.CLOSE:
            self._close(session, WSCloseCode.GOING_AWAY)
        elif how is FaultName.CUT:
            session.cut()
        else:
            session.abort()

    def _close(self, session: Session, code: WSCloseCode) -> None:
        if session.closing:
            return
        session.closing = True
        task = asyncio.create_task(session.close(code))
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)


def _patience(fault: Fault, session: Session) -> float:
    if fault.after_seconds is not None:
        return fault.after_seconds
    # spread by number, so that not every client reconnects in the same instant
    return ENDED_AFTER_SECONDS * (0.7 + 0.15 * (session.number % 5))
