"""Applies the active faults to the sockets: now, to new ones, and when a fault ends."""

import asyncio
from collections.abc import Callable, Container
from random import Random
from typing import Final

from aiohttp import WSCloseCode

from backpack_sandbox.faults.catalogue import ENDING_FAULTS
from backpack_sandbox.faults.effects.base import FrameEffect, Memory, Tools
from backpack_sandbox.faults.impairment import FRAME_FAULTS, Impairment, make_effect
from backpack_sandbox.faults.moments import Moments
from backpack_sandbox.faults.names import FaultName
from backpack_sandbox.faults.registry import Fault, FaultRegistry
from backpack_sandbox.sockets.fanout import Fanout
from backpack_sandbox.sockets.session import Session

SWEEP_SECONDS: Final = 0.1
TIMED_SWEEP_SECONDS: Final = 0.005
"""How exact a delay in ms is."""
ENDED_AFTER_SECONDS: Final = 3.0
STALLING_FAULTS: Final = frozenset({FaultName.STALL, FaultName.BLACKOUT, FaultName.HALF_OPEN})
_AT_ONCE: Final = {FaultName.AUTH_FAILURE, FaultName.KEY_REVOKED}


class Enforcer:
    """Keeps each session's impairment in step with the registry, and ends sockets.

    `clock` is monotonic seconds; `seed` decides which frames are hit.
    """

    def __init__(
        self,
        fanout: Fanout,
        faults: FaultRegistry,
        moments: Moments,
        clock: Callable[[], float],
        *,
        seed: int,
    ) -> None:
        self._fanout = fanout
        self._faults = faults
        self._moments = moments
        self._clock = clock
        self._seed = seed
        self._memories: dict[tuple[int, str], Memory] = {}
        self._dead: dict[int, Fault] = {}
        self._closing: set[asyncio.Task[None]] = set()
        faults.listeners.append(self.apply)

    def apply(self) -> None:
        """Follow a change of the faults at once."""
        active = {fault.fault_id for fault in self._faults.active()}
        self._memories = {key: kept for key, kept in self._memories.items() if key[0] in active}
        open_sockets = {session.number for session in self._fanout}
        self._dead = {n: fault for n, fault in self._dead.items() if n in open_sockets}
        for session in self._fanout:
            self.join(session)
            for fault in self._hitting(session, _AT_ONCE):
                self._end_signed(session, fault.name)
            self._end_due(session)

    def join(self, session: Session) -> None:
        """Give one session the impairment it must have now."""
        for fault in self._hitting(session, {FaultName.HALF_OPEN}):
            # what is lost on the way never comes back, whatever becomes of the fault
            self._dead.setdefault(session.number, fault)
        hitting = self._hitting(session, FRAME_FAULTS)
        former = session.impairment.effects if session.impairment else {}
        effects = {
            fault.fault_id: former.get(fault.fault_id) or self._effect(fault, session)
            for fault in hitting
        }
        session.impairment = Impairment(hitting, effects) if hitting else None
        for fault_id in former.keys() - effects.keys():
            session.send_all(former[fault_id].end())
        session.stall(
            stalled=bool(self._hitting(session, STALLING_FAULTS)),
            deaf=session.number in self._dead,
        )
        drips = self._hitting(session, {FaultName.SLOW_DRIP})
        rates = [fault.order.number("bytes_per_second") for fault in drips]
        session.throttle(min(rates, default=None))

    async def run(self) -> None:
        """Begin and end faults, end sockets that are due and let go of held frames, for ever."""
        while True:
            self._faults.expire()
            timed = False
            for session in self._fanout:
                if session.impairment is not None:
                    session.send_all(session.impairment.overdue())
                    timed |= session.impairment.timed
                self._end_due(session)
            await asyncio.sleep(TIMED_SWEEP_SECONDS if timed else SWEEP_SECONDS)

    def _hitting(self, session: Session, names: Container[FaultName]) -> list[Fault]:
        """The faults of these kinds that hit the session, oldest first."""
        found = [
            fault
            for fault in self._faults.named(names)
            if fault.hits_socket(session.user_agent, session.number)
            and (fault.name is not FaultName.SILENT or session.opened_at >= fault.begins_at)
        ]
        dead = self._dead.get(session.number)
        if dead is not None and dead.name in names and dead not in found:
            found.append(dead)
        return found

    def _effect(self, fault: Fault, session: Session) -> FrameEffect:
        tools = Tools(
            self._clock,
            # S311 - which frames are hit is no secret
            Random(f"{self._seed}:{fault.fault_id}:{session.number}"),  # noqa: S311
            self._memories.setdefault((fault.fault_id, session.user_agent), {}),
            session.send_binary,
            self._moments.first_ids(fault.fault_id),
        )
        return make_effect(fault.order, tools)

    def _end_due(self, session: Session) -> None:
        for fault in self._hitting(session, ENDING_FAULTS):
            if self._clock() - session.opened_at >= _patience(fault, session):
                self._end(session, fault.name)

    def _end(self, session: Session, how: FaultName) -> None:
        if how in {FaultName.CLOSE, FaultName.MAINTENANCE}:
            self._close(session, WSCloseCode.GOING_AWAY)
        elif how is FaultName.CUT:
            session.cut()
        else:
            session.abort()

    def _end_signed(self, session: Session, why: FaultName) -> None:
        if why is FaultName.KEY_REVOKED and session.account is not None:
            self._close(session, WSCloseCode.POLICY_VIOLATION)
        elif why is FaultName.AUTH_FAILURE and session.holds_private:
            # it must come back and sign again, and will be refused
            self._close(session, WSCloseCode.OK)

    def _close(self, session: Session, code: WSCloseCode) -> None:
        if session.closing:
            return
        session.closing = True
        task = asyncio.create_task(session.close(code))
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)


def _patience(fault: Fault, session: Session) -> float:
    if fault.name is FaultName.MAINTENANCE:
        return 0.0
    if fault.order.after_seconds is not None:
        return fault.order.after_seconds
    # spread by number, so that not every client reconnects in the same instant
    return ENDED_AFTER_SECONDS * (0.7 + 0.15 * (session.number % 5))
