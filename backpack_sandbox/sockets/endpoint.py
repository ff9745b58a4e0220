"""The websocket endpoint: control frames in, data and error frames out, and no acknowledgements."""

import asyncio
from collections.abc import Callable, Sequence

from aiohttp import WSCloseCode, WSMessage, WSMsgType, web

from backpack_sandbox.account.signing import Refusal, SignatureVerifier
from backpack_sandbox.constants import INVALID_SIGNATURE, PARSE_ERROR
from backpack_sandbox.sockets.fanout import Fanout
from backpack_sandbox.sockets.frames import text_encoder
from backpack_sandbox.sockets.keepalive import Keepalive
from backpack_sandbox.sockets.outlet import Outlet
from backpack_sandbox.sockets.session import CLOSE_TIMEOUT_SECONDS, Session
from backpack_sandbox.sockets.subscriptions import Request, read_request
from backpack_sandbox.streams.names import stream_key

SIGNATURE_FIELDS = 4
NO_CONTEXT = "server_no_context_takeover"


class SocketEndpoint:
    """Serves every websocket of the venue.

    `clock` is monotonic seconds. `refuses_signatures_of` asks by User-Agent. `joined` runs for each
    new session, before its first frame; `greet` for the names of the streams that it joins, before
    their first frame.
    """

    def __init__(
        self,
        fanout: Fanout,
        verifier: SignatureVerifier,
        keepalive: Keepalive,
        clock: Callable[[], float],
        *,
        refuses_signatures_of: Callable[[str], bool],
        joined: Callable[[Session], None],
        greet: Callable[[Session, Sequence[str]], None],
    ) -> None:
        self._fanout = fanout
        self._verifier = verifier
        self._keepalive = keepalive
        self._clock = clock
        self._refuses_signatures_of = refuses_signatures_of
        self._joined = joined
        self._greet = greet
        self._last_number = 0

    async def serve(self, request: web.Request) -> web.WebSocketResponse:
        """One connection from handshake to close."""
        if not request.headers.get("Sec-WebSocket-Key", "").isascii():
            raise web.HTTPBadRequest  # aiohttp would break on it
        # pings, pongs and Close are ours to see: a silent client must be noticed
        socket = web.WebSocketResponse(
            autoping=False, autoclose=False, timeout=CLOSE_TIMEOUT_SECONDS
        )
        await socket.prepare(request)
        session = self._open(request, socket)
        if session is None:
            return socket
        pinging = asyncio.create_task(self._keepalive.run(session))
        try:
            async for message in socket:
                self._receive(session, message)
        finally:
            self._fanout.detach(session)
            pinging.cancel()
            session.end(_echo(socket.close_code))
            await asyncio.gather(pinging, return_exceptions=True)
        return socket

    async def close_all(self) -> None:
        """Tell every client to reconnect: Close 1001."""
        closing = [session.close(WSCloseCode.GOING_AWAY) for session in self._fanout]
        await asyncio.gather(*closing, return_exceptions=True)

    def _open(self, request: web.Request, socket: web.WebSocketResponse) -> Session | None:
        transport = request.transport
        if transport is None:  # gone during the handshake
            return None
        takes_over = NO_CONTEXT not in socket.headers.get("Sec-WebSocket-Extensions", "")
        self._last_number += 1
        session = Session(
            self._last_number,
            Outlet(transport),
            text_encoder(int(socket.compress), context_taken_over=takes_over),
            request.headers.get("User-Agent", ""),
            self._clock(),
        )
        self._fanout.attach(session)
        self._joined(session)
        return session

    def _receive(self, session: Session, message: WSMessage) -> None:
        match message.type:
            case WSMsgType.TEXT | WSMsgType.BINARY:
                self._obey(session, read_request(message.data))
            case WSMsgType.PING:
                session.pong(message.data)
            case WSMsgType.PONG:
                session.unanswered_since = None
            case _:
                pass

    def _obey(self, session: Session, request: Request) -> None:
        if refusal := self._refusal(session, request):
            session.send(refusal)
            return
        for error in request.errors:
            session.send(error)
        keys = {stream_key(session.account, stream): stream for stream in request.streams}
        if request.subscribe:
            new = [stream for key, stream in keys.items() if key not in session.streams]
            self._fanout.subscribe(session, keys)
            self._greet(session, new)
        else:
            self._fanout.unsubscribe(session, keys)

    def _refusal(self, session: Session, request: Request) -> bytes | None:
        """The error frame that the request earns instead of its streams.

        A socket belongs to the account that signed first; another one's signature is no good on it.
        """
        if not request.needs_signature:
            return None
        if request.signature is None or self._refuses_signatures_of(session.user_agent):
            return INVALID_SIGNATURE
        if len(request.signature) != SIGNATURE_FIELDS:
            return PARSE_ERROR
        account = self._verifier.verify_subscribe(request.signature)
        if isinstance(account, Refusal) or session.account not in {None, account}:
            return INVALID_SIGNATURE
        session.account = account
        return None


def _echo(close_code: int | None) -> int:
    """The code that answers the client's Close; codes that no frame may carry become 1000."""
    unsendable = {0, WSCloseCode.ABNORMAL_CLOSURE}
    return WSCloseCode.OK if close_code is None or close_code in unsendable else close_code
