"""The websocket endpoint: control frames in, data and error frames out, and no acknowledgements."""

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from random import Random

from aiohttp import WSCloseCode, WSMessage, WSMsgType, web

from backpack_sandbox.account.signing import SignatureVerifier
from backpack_sandbox.constants import INVALID_SIGNATURE, PARSE_ERROR
from backpack_sandbox.faults.registry import FaultRegistry
from backpack_sandbox.sockets.fanout import Fanout
from backpack_sandbox.sockets.session import Session
from backpack_sandbox.sockets.subscriptions import Request, read_request

PONG_TIMEOUT_SECONDS = 120.0
CLOSE_TIMEOUT_SECONDS = 2.0


class SocketEndpoint:
    """Serves every websocket of the venue.

    `clock` is monotonic seconds. `joined` runs for each new session, before its first frame;
    `greet` for the streams that it joins, before their first frame.
    """

    def __init__(
        self,
        fanout: Fanout,
        verifier: SignatureVerifier,
        faults: FaultRegistry,
        clock: Callable[[], float],
        *,
        ping_interval_seconds: float,
        first_ping_seconds: tuple[float, float],
        joined: Callable[[Session], None],
        greet: Callable[[Session, Sequence[str]], None],
    ) -> None:
        self._fanout = fanout
        self._verifier = verifier
        self._faults = faults
        self._clock = clock
        self._ping_interval_seconds = ping_interval_seconds
        self._first_ping_seconds = first_ping_seconds
        self._joined = joined
        self._greet = greet
        self._rng = Random()  # noqa: S311 - spreads pings
        self._last_number = 0

    async def serve(self, request: web.Request) -> web.WebSocketResponse:
        """One connection from handshake to close."""
        # pings and pongs are ours to see: a silent client must be noticed
        socket = web.WebSocketResponse(autoping=False, timeout=CLOSE_TIMEOUT_SECONDS)
        await socket.prepare(request)
        if not isinstance(request.transport, asyncio.WriteTransport):
            return socket
        self._last_number += 1
        session = Session(
            self._last_number,
            socket,
            request.transport,
            request.headers.get("User-Agent", ""),
            self._clock(),
        )
        self._fanout.attach(session)
        self._joined(session)
        tasks = [asyncio.create_task(session.write()), asyncio.create_task(self._ping(session))]
        try:
            async for message in socket:
                await self._receive(session, message)
        finally:
            self._fanout.detach(session)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        return socket

    async def close_all(self) -> None:
        """Tell every client to reconnect: Close 1001."""
        closing = [session.close(WSCloseCode.GOING_AWAY) for session in self._fanout]
        await asyncio.gather(*closing, return_exceptions=True)

    async def _receive(self, session: Session, message: WSMessage) -> None:
        match message.type:
            case WSMsgType.TEXT | WSMsgType.BINARY:
                self._obey(session, read_request(message.data))
            case WSMsgType.PING:
                await session.pong(message.data)
            case WSMsgType.PONG:
                session.last_pong_at = self._clock()
            case _:
                pass

    def _obey(self, session: Session, request: Request) -> None:
        if refusal := self._refusal(session, request):
            session.send(refusal)
            return
        for error in request.errors:
            session.send(error)
        if request.subscribe:
            new = [stream for stream in request.streams if stream not in session.streams]
            self._fanout.subscribe(session, request.streams)
            self._greet(session, new)
        else:
            self._fanout.unsubscribe(session, request.streams)

    def _refusal(self, session: Session, request: Request) -> bytes | None:
        if not request.needs_signature:
            return None
        if request.signature is None or self._faults.refuses_signatures_of(session.user_agent):
            return INVALID_SIGNATURE
        if len(request.signature) != 4:  # noqa: PLR2004 - key, signature, timestamp, window
            return PARSE_ERROR
        return INVALID_SIGNATURE if self._verifier.refuse_subscribe(request.signature) else None

    async def _ping(self, session: Session) -> None:
        """Ping on the venue's schedule; drop a client that leaves pings unanswered.

        A socket without subscriptions goes without a close frame when the next ping is due; a
        subscribed one gets 120 s and then a Close, as recorded.
        """
        delay = self._rng.uniform(*self._first_ping_seconds)
        while True:
            await asyncio.sleep(delay)
            sent_at = self._clock()
            if not session.stalled:
                with contextlib.suppress(ConnectionError):
                    await session.socket.ping()
            delay = self._ping_interval_seconds
            await asyncio.sleep(delay)
            if session.last_pong_at >= sent_at:
                delay = 0.0
            elif not session.streams:
                session.abort()
            elif sent_at - session.last_pong_at >= PONG_TIMEOUT_SECONDS:
                await session.close(WSCloseCode.POLICY_VIOLATION)
            else:
                delay = 0.0
