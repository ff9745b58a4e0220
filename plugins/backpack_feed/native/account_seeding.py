"""What the account's streams do not tell: how things stand, and what happened meanwhile.

After every subscription REST is asked for the balances, the positions, and the fills of the time
without a socket (protocol sections 7.3 and 8).
"""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from typing import Any, Final

from backpack_feed.backoff import full_jitter
from backpack_feed.counters import FeedCounters
from backpack_feed.errors import AuthenticationError, FatalError, FeedError, NotFoundError
from backpack_feed.native.account_streams import AccountStreams, Begun
from backpack_feed.native.reader import Publication
from backpack_feed.wire.account_answers import RestFill
from backpack_feed.wire.rest import FILLS_LIMIT, BackpackRest

LOG = logging.getLogger(__name__)

BACKOFF_SECONDS: Final = 1.0
BACKOFF_CAP_SECONDS: Final = 30.0
UNNOTICED_SECONDS: Final = 60.0
"""A loss is noticed late, and clocks differ: fills are asked for since this long before it."""
FILLS_ASKED_AFTER_SECONDS: Final = (0.0, 10.0)
"""Twice, because the history may trail the engine; the pauses before each request."""
FILL_PAGES: Final = 20


class AccountSeeding:
    """Asks REST on behalf of `account`; `now_ms` is the signer's clock, unix milliseconds.

    `spawn` starts background work, `deliver` publishes, `consume` runs a function in the single
    consumer.
    """

    def __init__(
        self,
        rest: BackpackRest,
        account: AccountStreams,
        *,
        spawn: Callable[[Coroutine[Any, Any, None], str], asyncio.Task[None]],
        deliver: Callable[[Iterable[Publication]], Awaitable[None]],
        consume: Callable[[Callable[[], Awaitable[Any]]], Awaitable[Any]],
        counters: FeedCounters,
        clock: Callable[[], float],
        now_ms: Callable[[], int],
    ) -> None:
        self._rest = rest
        self._account = account
        self._spawn = spawn
        self._deliver = deliver
        self._consume = consume
        self._counters = counters
        self._clock = clock
        self._now_ms = now_ms
        self._tasks: list[asyncio.Task[None]] = []
        self._first_subscribed_ms: int | None = None
        self._missed_since_ms: int | None = None
        self._unserved: set[str] = set()

    def subscribed(self) -> None:
        """The account's streams were just subscribed: ask for everything that they do not tell."""
        self._stop()
        if self._first_subscribed_ms is None:
            self._first_subscribed_ms = self._now_ms()
        jobs = {
            what: work
            for what, (wanted, work) in {
                "balances": (self._account.wants_balances, self._seed_balances),
                "positions": (self._account.wants_positions, self._seed_positions),
                "fills": (self._account.wants_fills, self._seed_fills),
            }.items()
            if wanted and what not in self._unserved
        }
        begun = self._account.begin_seed()
        self._tasks = [self._spawn(work(begun), what) for what, work in jobs.items()]

    def lost(self) -> None:
        """The streams are gone; from about now on fills are missed."""
        self._stop()
        if self._first_subscribed_ms is None:
            return
        # what happened before the feed began was not missed
        since = max(self._first_subscribed_ms, self._now_ms() - int(UNNOTICED_SECONDS * 1_000))
        if self._missed_since_ms is None or since < self._missed_since_ms:
            self._missed_since_ms = since

    def _stop(self) -> None:
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()

    async def _seed_balances(self, begun: Begun) -> None:
        capital = await self._patiently("balances", self._rest.capital)
        if capital is not None:
            await self._publish(lambda: self._account.seed_balances(capital, begun, self._clock()))

    async def _seed_positions(self, begun: Begun) -> None:
        rows = await self._patiently("positions", self._rest.positions)
        if rows is not None:
            await self._publish(lambda: self._account.seed_positions(rows, begun, self._clock()))

    async def _seed_fills(self, _begun: Begun) -> None:
        since = self._missed_since_ms
        if since is None:
            return
        for pause_seconds in FILLS_ASKED_AFTER_SECONDS:
            await asyncio.sleep(pause_seconds)
            rows = await self._patiently("fills", lambda: self._fills(since))
            if rows is None:
                return
            await self._publish(lambda rows=rows: self._account.past_fills(rows))  # type: ignore[misc]
        self._missed_since_ms = None

    async def _fills(self, since_ms: int) -> list[RestFill]:
        rows: list[RestFill] = []
        for _ in range(FILL_PAGES):
            # new fills push old ones towards the next page: rows repeat, none is skipped
            page = await self._rest.fills(since_ms, offset=len(rows))
            rows += page
            if len(page) < FILLS_LIMIT:
                return rows
        LOG.error("more than %d fills were missed: the oldest of them are lost", len(rows))
        self._counters.dropped_messages += 1
        return rows

    async def _publish(self, publications: Callable[[], Iterable[Publication]]) -> None:
        await self._consume(lambda: self._deliver(publications()))

    async def _patiently[T](self, what: str, fetch: Callable[[], Awaitable[T]]) -> T | None:
        """Ask until there is an answer; return None if there will be none."""
        attempt = 0
        while True:
            try:
                return await fetch()
            except NotFoundError as error:
                self._unserved.add(what)
                LOG.warning("%s: REST does not serve them, not asking again: %s", what, error)
                return None
            except FatalError as error:
                self._counters.auth_failures += isinstance(error, AuthenticationError)
                LOG.warning("%s: REST refuses them, only what streams will come: %s", what, error)
                return None
            except FeedError as error:
                LOG.warning("%s: no answer yet: %s", what, error)
            attempt += 1
            await asyncio.sleep(
                full_jitter(
                    attempt,
                    base_seconds=BACKOFF_SECONDS,
                    cap_seconds=BACKOFF_CAP_SECONDS,
                    jitter=random.random,
                )
            )
