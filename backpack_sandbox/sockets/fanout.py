"""Who listens to which stream. A frame is serialised once and handed to every listener."""

from collections.abc import Callable, Iterable, Iterator

from backpack_sandbox.sockets.session import Session


class Fanout:
    """Sessions and their subscriptions.

    Streams go by their keys (`streams.names`). `on_streams_changed` gets one when it gains its
    first or loses its last listener.
    """

    def __init__(self) -> None:
        self._sessions: dict[Session, None] = {}
        self._listeners: dict[str, dict[Session, None]] = {}
        self.on_streams_changed: Callable[[str, bool], None] = _ignore

    def __iter__(self) -> Iterator[Session]:
        return iter(tuple(self._sessions))

    def __len__(self) -> int:
        return len(self._sessions)

    def attach(self, session: Session) -> None:
        """Know a new socket."""
        self._sessions[session] = None

    def detach(self, session: Session) -> None:
        """Forget a socket and all it listened to."""
        self.unsubscribe(session, tuple(session.streams))
        self._sessions.pop(session, None)

    def silence(self) -> None:
        """Hang up on everybody at once: what waits to leave is never sent."""
        for session in self:
            session.abort()

    def subscribe(self, session: Session, streams: Iterable[str]) -> None:
        """Start delivery; a stream that is on already stays on, once."""
        for stream in streams:
            listeners = self._listeners.setdefault(stream, {})
            if not listeners:
                self.on_streams_changed(stream, True)
            if session not in listeners:
                listeners[session] = None
                session.subscribed(stream)

    def unsubscribe(self, session: Session, streams: Iterable[str]) -> None:
        """Stop delivery; a stream that is not on is no error."""
        for stream in streams:
            session.streams.discard(stream)
            listeners = self._listeners.get(stream)
            if listeners is None:
                continue
            listeners.pop(session, None)
            if not listeners:
                del self._listeners[stream]
                self.on_streams_changed(stream, False)

    def publish(self, stream: str, symbol: str, frame: bytes) -> None:
        """Hand one frame to every listener of `stream`."""
        for session in self._listeners.get(stream, ()):
            session.offer(stream, symbol, frame)


def _ignore(stream: str, has_listeners: bool) -> None:
    """Nobody cares yet."""
