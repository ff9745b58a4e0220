"""Applies the active faults to the sockets: now, to new ones, and when a fault ends."""

import asyncio
from collections.abc import Callable
from random import Random
from typing import Final

from aiohttp import WSCloseCode

from backpack_sandbox.fanout import Fanout
from backpack_sandbox.faults import FaultName, FaultRegistry
from backpack_sandbox.impairment import Impairment
from backpack_sandbox.session import Session

SWEEP_SECONDS: Final = 0.1
DISCONNECT_AFTER_SECONDS: Final = 3.0
FRAME_FAULTS: Final = frozenset({FaultName.GAP, FaultName.STALE, FaultName.SCHEMA_DRIFT})


class Enforcer:
    """Keeps each session's impairment in step with the registry, and ends sockets.

    `clock` is monotonic seconds.
    """

    def __init__(self, fanout: Fanout, faults: FaultRegistry, clock: Callable[[], float]) -> None:
        self._fanout = fanout
        self._faults = faults
        self._clock = clock
        self._closing: set[asyncio.Task[None]] = set()
        faults.on_change = self.apply

    def apply(self) -> None:
        """Follow a change of the faults at once."""
        for session in self._fanout:
            self.join(session)
            if session.holds_private and self._hit(session, FaultName.AUTH_FAILURE):
                # it must come back and sign again, and will be refused
                self._close(session)

    def join(self, session: Session) -> None:
        """Give one session the impairment it must have now."""
        hitting = [
            fault
            for fault in self._faults.active()
            if fault.name in FRAME_FAULTS and fault.hits_socket(session.user_agent, session.number)
        ]
        rng = Random(session.number)  # noqa: S311 - which frames are hit is no secret
        session.impairment = Impairment(hitting, self._clock, rng) if hitting else None

    async def run(self) -> None:
        """Expire faults and abort sockets that are due, until cancelled."""
        while True:
            self._faults.expire()
            for session in self._fanout:
                if self._disconnect_due(session) and self._hit(session, FaultName.DISCONNECT):
                    session.abort()
            await asyncio.sleep(SWEEP_SECONDS)

    def _disconnect_due(self, session: Session) -> bool:
        # spread by number, so that not every client reconnects in the same instant
        patience = DISCONNECT_AFTER_SECONDS * (0.7 + 0.15 * (session.number % 5))
        return self._clock() - session.opened_at >= patience

    def _hit(self, session: Session, name: FaultName) -> bool:
        return any(
            fault.name is name and fault.hits_socket(session.user_agent, session.number)
            for fault in self._faults.active()
        )

    def _close(self, session: Session) -> None:
        task = asyncio.create_task(session.close(WSCloseCode.OK))
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)
