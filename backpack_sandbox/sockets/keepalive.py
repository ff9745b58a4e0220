"""The venue's protocol pings, and what becomes of a socket that leaves them unanswered."""

import asyncio
from collections.abc import Callable
from random import Random
from typing import Final

from aiohttp import WSCloseCode

from backpack_sandbox.sockets.session import Session

UNANSWERED_INTERVALS_MAX: Final = 2
"""With pings every 60 s these are the documented 120 s."""


class Keepalive:
    """Pings every socket on the venue's schedule. `clock` is monotonic seconds."""

    def __init__(
        self,
        clock: Callable[[], float],
        *,
        interval_seconds: float,
        first_seconds: tuple[float, float],
    ) -> None:
        self._clock = clock
        self._interval_seconds = interval_seconds
        self._first_seconds = first_seconds
        self._rng = Random()  # noqa: S311 - spreads pings

    async def run(self, session: Session) -> None:
        """Ping one socket until cancelled, or until it is dropped.

        A socket without subscriptions goes without a close frame when the next ping is due; a
        subscribed one gets a Close after two intervals without a pong, as recorded. A stalled one
        is neither pinged nor judged: the fault plays a venue that is not there.
        """
        await asyncio.sleep(self._rng.uniform(*self._first_seconds))
        while True:
            if not session.stalled:
                if session.unanswered_since is None:
                    session.unanswered_since = self._clock()
                session.send_ping()
            await asyncio.sleep(self._interval_seconds)
            if not session.stalled and session.unanswered_since is not None:
                await self._judge(session, self._clock() - session.unanswered_since)

    async def _judge(self, session: Session, silent_seconds: float) -> None:
        if not session.streams:
            session.abort()
        elif silent_seconds >= UNANSWERED_INTERVALS_MAX * self._interval_seconds:
            await session.close(WSCloseCode.POLICY_VIOLATION)
