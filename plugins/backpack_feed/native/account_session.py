"""The signed part of a session: signing in, its refusal, and the balances to start from."""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from typing import Any

from backpack_feed.backoff import full_jitter
from backpack_feed.counters import FeedCounters
from backpack_feed.errors import AuthenticationError, FatalError, FeedError
from backpack_feed.native.account_streams import AccountStreams
from backpack_feed.native.connection import BackpackConnection
from backpack_feed.native.private_stream import PrivateStream
from backpack_feed.native.reader import Publication
from backpack_feed.wire.rest import BackpackRest
from backpack_feed.wire.signing import Signer

LOG = logging.getLogger(__name__)

SEED_BACKOFF_SECONDS = 1.0
SEED_BACKOFF_CAP_SECONDS = 30.0


class AccountSession:
    """Keeps `streams` subscribed on every socket, until the venue refuses the signature for good.

    `deliver` publishes what REST told, `consume` runs a function in the single consumer. Without a
    signer nothing is ever sent.
    """

    def __init__(
        self,
        connection: BackpackConnection,
        rest: BackpackRest,
        signer: Signer | None,
        streams: Sequence[str],
        account: AccountStreams,
        *,
        state: PrivateStream,
        deliver: Callable[[Iterable[Publication]], Awaitable[None]],
        consume: Callable[[Callable[[], Awaitable[Any]]], Awaitable[Any]],
        counters: FeedCounters,
        clock: Callable[[], float],
        monotonic: Callable[[], float],
    ) -> None:
        self._connection = connection
        self._rest = rest
        self._signer = signer
        self._streams = list(streams)
        self._account = account
        self._state = state
        self._deliver = deliver
        self._consume = consume
        self._counters = counters
        self._clock = clock
        self._monotonic = monotonic
        self._seeding: asyncio.Task[None] | None = None

    async def subscribe(self) -> None:
        """Sign and subscribe on the socket that was just opened, and ask for the balances."""
        if self._signer is None or self._state.stopped:
            return
        # always signed anew: a signature expires after its window
        signature = self._signer.subscribe_signature()
        await self._connection.send("SUBSCRIBE", self._streams, signature)
        self._state.signed(self._monotonic())
        if self._account.wants_balances:
            self._stop_seeding()
            self._seeding = self._connection.background.spawn(self._seed(), "balances")

    def lost(self) -> None:
        """The socket is gone; the next one starts with the balances of its own time."""
        self._state.lost()
        self._stop_seeding()

    def refused(self) -> None:
        """The venue refused the signature: sign once more with its clock, then never again."""
        self._counters.auth_failures += 1
        if self._state.refused():
            LOG.warning("the venue refused the signature: signing once more with its clock")
            self._connection.background.spawn(self._sign_again(), "sign again")
        elif self._state.stopped:
            self._stop_seeding()
            LOG.error(
                "the venue refused the signature twice: private streams stop, public ones go on;"
                " check the credentials with python -m tools.backpack_auth_check, then restart"
            )

    async def _sign_again(self) -> None:
        if self._signer is not None:
            with suppress(FeedError):  # without the venue's clock ours must do
                self._signer.follow(await self._rest.clock_drift(self._signer.clock))
        await self._consume(self.subscribe)

    def _stop_seeding(self) -> None:
        seeding, self._seeding = self._seeding, None
        if seeding is not None:
            seeding.cancel()

    async def _seed(self) -> None:
        """Fetch the balances until there is an answer: the stream tells only of changes."""
        attempt = 0
        while True:
            begun = self._account.begin_seed()
            try:
                capital = await self._rest.capital()
            except FatalError as error:
                self._counters.auth_failures += isinstance(error, AuthenticationError)
                LOG.warning("no balances to start from, only their changes will come: %s", error)
                return
            except FeedError as error:
                LOG.warning("no balances to start from yet: %s", error)
            else:
                break
            attempt += 1
            await asyncio.sleep(
                full_jitter(
                    attempt,
                    base_seconds=SEED_BACKOFF_SECONDS,
                    cap_seconds=SEED_BACKOFF_CAP_SECONDS,
                    jitter=random.random,
                )
            )
        publications = self._account.seed_balances
        await self._consume(lambda: self._deliver(publications(capital, begun, self._clock())))
