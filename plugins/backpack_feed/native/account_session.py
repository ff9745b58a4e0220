"""The signed part of a session: signing in, and what follows from its refusal."""

import logging
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from typing import Any

from backpack_feed.counters import FeedCounters
from backpack_feed.errors import FeedError
from backpack_feed.native.account_seeding import AccountSeeding
from backpack_feed.native.account_streams import AccountStreams
from backpack_feed.native.connection import BackpackConnection
from backpack_feed.native.private_stream import PrivateStream
from backpack_feed.native.reader import Publication
from backpack_feed.wire.rest import BackpackRest
from backpack_feed.wire.signing import Signer

LOG = logging.getLogger(__name__)


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
        self._state = state
        self._consume = consume
        self._counters = counters
        self._monotonic = monotonic
        self._seeding: AccountSeeding | None = None
        if signer is not None:
            self._seeding = AccountSeeding(
                rest,
                account,
                spawn=connection.background.spawn,
                deliver=deliver,
                consume=consume,
                counters=counters,
                clock=clock,
                now_ms=signer.now_ms,
            )

    async def subscribe(self) -> None:
        """Sign and subscribe on the socket that was just opened, and ask REST for the rest."""
        if self._signer is None or self._seeding is None or self._state.stopped:
            return
        # always signed anew: a signature expires after its window
        signature = self._signer.subscribe_signature()
        await self._connection.send("SUBSCRIBE", self._streams, signature)
        self._state.signed(self._monotonic())
        self._seeding.subscribed()

    def lost(self) -> None:
        """The socket is gone; the next one starts with how things stand by then."""
        self._state.lost()
        if self._seeding is not None:
            self._seeding.lost()

    def refused(self) -> None:
        """The venue refused the signature: sign once more with its clock, then never again."""
        self._counters.auth_failures += 1
        if self._seeding is not None:
            self._seeding.lost()
        if self._state.refused():
            LOG.warning("the venue refused the signature: signing once more with its clock")
            self._connection.background.spawn(self._sign_again(), "sign again")
        elif self._state.stopped:
            LOG.error(
                "the venue refused the signature twice: private streams stop, public ones go on;"
                " check the key with python -m tools.backpack_auth_check --credentials FILE, then"
                " restart"
            )

    async def _sign_again(self) -> None:
        if self._signer is not None:
            with suppress(FeedError):  # without the venue's clock ours must do
                self._signer.follow(await self._rest.clock_drift(self._signer.clock))
        await self._consume(self.subscribe)
