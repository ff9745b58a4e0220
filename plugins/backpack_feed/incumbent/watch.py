"""The sessions of the ccxt feed: one after the other, for as long as the feed runs."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

from backpack_feed.counters import FeedCounters
from backpack_feed.incumbent import defects
from backpack_feed.incumbent.books import CcxtBooks
from backpack_feed.incumbent.observed import FrameWitness
from backpack_feed.incumbent.session import CcxtSession, RequestFailed, SessionLost
from backpack_feed.incumbent.venue import Venue
from backpack_feed.incumbent.watchers import Routes, Watchers, backoff_seconds

LOG = logging.getLogger(__name__)

STEADY_SECONDS = 30.0
WATCHDOG_SECONDS = 1.0
CONFIRM_INTERVAL_SECONDS = 5.0
ACCEPTED_AFTER_SECONDS = 2.0


class Silence(SessionLost):
    """Nothing was heard for too long; no error of the wire."""


class CcxtWatch:
    """Keeps a session alive: `run` ends only when it is cancelled.

    A lost socket, or silence longer than `silence_seconds`, ends the session; the next one starts
    with fresh books after a capped, jittered delay. `template` lends its markets to every session,
    and each gets a new witness. `up_at` is the monotonic time when a socket was last seen open.
    """

    def __init__(
        self,
        venue: Venue,
        template: CcxtSession,
        routes: Routes,
        new_witness: Callable[[], FrameWitness],
        *,
        counters: FeedCounters,
        books: CcxtBooks,
        max_depth: int,
        silence_seconds: float,
        monotonic: Callable[[], float],
    ) -> None:
        self._venue = venue
        self._template = template
        self._routes = routes
        self._new_witness = new_witness
        self.counters = counters
        self._books = books
        self._max_depth = max_depth
        self._silence_seconds = silence_seconds
        self._monotonic = monotonic
        self._session: CcxtSession | None = None
        self.up_at = self._opened_at = monotonic()

    @property
    def connected(self) -> bool:
        """Whether a socket is open."""
        return self._session is not None and self._session.connected

    @property
    def signed_in(self) -> bool:
        """Whether the venue has taken a signature: it says nothing but refusals."""
        session = self._session
        if session is None or not session.connected or session.witness.signature_refused:
            return False
        return self._monotonic() - self._opened_at >= ACCEPTED_AFTER_SECONDS

    async def run(self) -> None:
        """Run one session after the other."""
        attempt = 0
        while True:
            started = self._monotonic()
            try:
                async with self._opened() as session:
                    await self._watch(session)
            except SessionLost as error:
                self.counters.ws_errors += not error.clean
                LOG.warning("session lost: %s", error)
            except Exception:
                # whatever ccxt or a sink did wrong, a new session is the way on
                self.counters.dropped_messages += 1
                LOG.exception("session ended")
            steady = self._monotonic() - started > STEADY_SECONDS
            attempt = 0 if steady else attempt + 1
            await asyncio.sleep(backoff_seconds(attempt))
            self.counters.reconnects += 1

    @asynccontextmanager
    async def _opened(self) -> AsyncIterator[CcxtSession]:
        session = CcxtSession(self._venue, self._new_witness())
        try:
            await session.open(self._template)
            self._session, self._opened_at = session, self._monotonic()
            yield session
        finally:
            self._session = None
            self._books.forget()
            await session.close()

    async def _watch(self, session: CcxtSession) -> None:
        """Run every watcher until the first fails; raises what it raised."""
        watchers = Watchers(
            session,
            self._routes,
            counters=self.counters,
            books=self._books,
            max_depth=self._max_depth,
        )
        work: list[Coroutine[Any, Any, None]] = [
            self._guard_silence(session),
            self._confirm_quiet_books(session),
            *watchers.all(),
        ]
        tasks = [asyncio.create_task(item) for item in work]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        try:
            for task in done:
                task.result()
        except SessionLost as error:
            if session.keeps_books and not isinstance(error, Silence):
                self.counters.ccxt_defects[defects.STALE_BOOK_AFTER_RECONNECT] += 1
            raise

    async def _guard_silence(self, session: CcxtSession) -> None:
        """End the session when nothing has been heard or confirmed for too long."""
        witness = session.witness
        while True:
            heard_at = witness.alive_at
            if session.connected:
                self.up_at = self._monotonic()
            await asyncio.sleep(WATCHDOG_SECONDS)
            if heard_at == witness.alive_at and session.reader_waits:
                witness.reader_ended()
            silence_seconds = self._monotonic() - witness.alive_at
            if silence_seconds > self._silence_seconds:
                # silence is no error of the wire: it counts as a reconnect only
                raise Silence(f"silent for {silence_seconds:.1f} s", clean=True)

    async def _confirm_quiet_books(self, session: CcxtSession) -> None:
        """Ask REST whether a book that does not move is still the right one."""
        while True:
            await asyncio.sleep(CONFIRM_INTERVAL_SECONDS)
            await asyncio.gather(
                *(
                    self._confirm(session, symbol)
                    for symbol, age_seconds in self._books.ages().items()
                    if age_seconds > CONFIRM_INTERVAL_SECONDS
                )
            )

    async def _confirm(self, session: CcxtSession, symbol: str) -> None:
        try:
            sequence = await session.venue_sequence(self._routes.ccxt_symbols[symbol])
        except RequestFailed:
            return  # the book may be well; if it is not, its age tells
        if self._books.confirm(symbol, sequence):
            session.witness.alive_at = self._monotonic()
