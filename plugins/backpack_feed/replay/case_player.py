"""Plays a case: opens the feed's socket, lets each input happen, and sees what became of it."""

import asyncio
from contextlib import AsyncExitStack
from typing import Any, Final

import msgspec
from cryptofeed.defines import TRADES
from picows import WSMsgType

from backpack_feed.errors import ConfigError, DecodeError
from backpack_feed.native.feed import BackpackFeed
from backpack_feed.replay import case_streams
from backpack_feed.replay.case_streams import DEFAULT_SYMBOL, Case, Item
from backpack_feed.replay.modelled_market import ModelledBook, market_row
from backpack_feed.replay.modelled_venue import UNLISTED, ModelledVenue, path_of
from backpack_feed.replay.recorded_feed import (
    KEPT_EVENTS,
    START_SECONDS,
    RecordedFeed,
    same_jitter,
)
from backpack_feed.replay.recorded_rest import RecordedAnswer
from backpack_feed.replay.recorded_socket import RecordedConnection, RecordedFrame
from backpack_feed.wire.decode import decode
from backpack_feed.wire.messages import MarketRow
from backpack_feed.wire.symbols import market_name

SYNC_SECONDS: Final = 1.0
"""After the open, until the first books are there."""
STEP_SECONDS: Final = 0.02
SETTLE_SECONDS: Final = 60.0
"""After the last input: retries, backfills and checks of silent streams come to their end."""
BATCH_FRAMES: Final = 100
DEAD_AFTER_SECONDS: Final = 90.0
"""The venue pings every 60 s, so a longer silence means that its end is gone (section 5.2)."""
SIGNATURE_AGE_SECONDS: Final = 600.0
NO_CODE: Final = 1005
"""What a close frame without a code means."""
DEFAULT_UPDATE_ID: Final = 1_000


class Played(msgspec.Struct):
    """What came of a case; `socket` is its fate in words, `sockets` how many were opened."""

    events: list[dict[str, Any]]
    event_counts: dict[str, int]
    counters: dict[str, Any]
    requests: list[str]
    sent: list[dict[str, Any]]
    notes: list[str]
    socket: str
    sockets: int
    books: dict[str, Any]


class _Stage:
    """One venue and the feeds on it: usually one, and one more per aggregated depth window."""

    def __init__(self, case: Case, kept_events: int, *, empty_books: bool) -> None:
        started = asyncio.get_running_loop().time()
        symbols = [*dict.fromkeys((*case_streams.symbols_of(case), DEFAULT_SYMBOL))]
        self.case = case
        self.notes: list[str] = []
        self.feeds: dict[str, tuple[RecordedFeed, RecordedConnection]] = {}
        self.venue = ModelledVenue(
            symbols, lambda: START_SECONDS + asyncio.get_running_loop().time() - started
        )
        self.venue.books = {s: _book_before(case, s, empty=empty_books) for s in symbols}
        self._kept_events = kept_events

    async def open(self, stack: AsyncExitStack, window: str) -> None:
        """Start the feed that reads depth streams of `window`."""
        asked = case_streams.client_symbols(self.case)
        symbols = [
            symbol
            for symbol in case_streams.symbols_of(self.case, window)
            if symbol in asked or not UNLISTED.match(symbol)
        ]
        try:
            feed = self._feed(window, symbols)
            connection = await stack.enter_async_context(feed.running())
        except ConfigError as error:
            self.notes.append(f"refused before connecting: {error}")
            feed = self._feed(window, [s for s in symbols if not UNLISTED.match(s)])
            connection = await stack.enter_async_context(feed.running())
        self.feeds[window] = (feed, connection)

    def _feed(self, window: str, venue_symbols: list[str]) -> RecordedFeed:
        names = [name for s in venue_symbols if (name := name_of(s)) is not None]
        names = names or [str(name_of(DEFAULT_SYMBOL))]
        channels = [
            channel
            for channel in case_streams.channels_of(self.case, window)
            if channel in BackpackFeed.websocket_channels
        ]
        settings: dict[str, Any] = {"depth_window": window}
        interval = case_streams.candle_interval(self.case)
        intervals = {wire: name for name, wire in BackpackFeed.candle_interval_map.items()}
        if interval in intervals:
            settings |= {"candle_interval": intervals[interval], "candle_closed_only": False}
        subscription = {channel: list(names) for channel in channels or [TRADES]}
        feed = RecordedFeed(self.venue, subscription=subscription, **settings)
        feed.recorder.kept_events = self._kept_events
        return feed

    async def before(self) -> None:
        """Let the first books come; a snapshot that is to be too old finds a delta waiting."""
        if "older" in self.case.name:
            symbol = next(iter(self.venue.books))
            update_id = self.venue.books[symbol].last_update_id + 1
            frame = case_streams.depth_frame(f"depth.{symbol}", update_id, [["98.90", "1.00"]], [])
            await self.arrive(WSMsgType.TEXT, [frame])
            self.notes.append(f"delta {update_id} came before the snapshot")
        await asyncio.sleep(SYNC_SECONDS)

    def receivers(self, frame: bytes) -> list[RecordedConnection]:
        """Return the connections that carry a frame: that of its depth window, or the first."""
        try:
            stream = decode(frame).stream
        except DecodeError:
            stream = ""
        qualifier = case_streams.parse_stream(stream).qualifier
        feeds = self.feeds.get(qualifier) or next(iter(self.feeds.values()))
        return [feeds[1]]

    @property
    def connections(self) -> list[RecordedConnection]:
        """Every feed's connection."""
        return [connection for _, connection in self.feeds.values()]

    async def arrive(self, kind: WSMsgType, payloads: list[bytes]) -> None:
        """Let frames come from the venue, in bursts; wait for a socket if there is none."""
        for at in range(0, len(payloads), BATCH_FRAMES):
            for payload in payloads[at : at + BATCH_FRAMES]:
                self.venue.show(payload)
                for connection in self.receivers(payload):
                    transport = await connection.opened()
                    transport.receive(RecordedFrame(kind, payload))
            await asyncio.sleep(STEP_SECONDS)

    async def happen(self, item: Item) -> None:
        """Let one input happen."""
        match item.transport:
            case "ws_text":
                await self.arrive(WSMsgType.TEXT, self._texts(item))
            case "ws_binary":
                await self.arrive(WSMsgType.BINARY, [case_streams.from_hex(self.case, item.hex)])
            case "ws_ping" | "ws_close" | "tcp_reset":
                await self._control(item)
            case "http":
                self.venue.recorded.append(recorded_answer(item))
            case "none":
                await self._nothing(item.wait_s or 0.0)
            case "client_text":
                await self._client(item.raw or "")
            case _:
                self.notes.append(f"transport {item.transport} is not known: skipped")

    def _texts(self, item: Item) -> list[bytes]:
        if item.generator is None:
            return [(item.raw or "").encode()]
        frames = case_streams.generated_frames(item.generator)
        if frames is None:
            self.notes.append(f"cannot make these frames: {item.generator}")
            return []
        self.notes.append(f"made {len(frames)} frames: {item.generator}")
        return frames

    async def _control(self, item: Item) -> None:
        for connection in self.connections:
            transport = await connection.opened()
            if item.transport == "ws_ping":
                payload = case_streams.from_hex(self.case, item.payload_hex)
                transport.receive(RecordedFrame(WSMsgType.PING, payload))
            elif item.transport == "ws_close":
                transport.receive(RecordedFrame(WSMsgType.CLOSE, close_code=item.code or NO_CODE))
            else:
                transport.disconnect()
        await asyncio.sleep(STEP_SECONDS)

    async def _nothing(self, seconds: float) -> None:
        for connection in self.connections:
            transport = await connection.opened()
            transport.answers_pings = seconds <= DEAD_AFTER_SECONDS
        await asyncio.sleep(seconds)

    async def _client(self, text: str) -> None:
        if "signed" not in text:
            return  # what it subscribes was subscribed at the open
        self.notes.append(f"the socket is lost {SIGNATURE_AGE_SECONDS:.0f} s later: {text}")
        await asyncio.sleep(SIGNATURE_AGE_SECONDS)
        for connection in self.connections:
            (await connection.opened()).disconnect()

    def played(self) -> Played:
        """Collect what came out."""
        recorders = [feed.recorder for feed, _ in self.feeds.values()]
        return Played(
            events=[event for recorder in recorders for event in recorder.events],
            event_counts=_added([recorder.counts for recorder in recorders]),
            counters=_added([feed.moved() for feed, _ in self.feeds.values()]),
            requests=[r for r in self.venue.requests if not r.startswith("/api/v1/markets")],
            sent=[frame for connection in self.connections for frame in connection.client_frames],
            notes=self.notes,
            socket="; ".join(connection.fate() for connection in self.connections),
            sockets=sum(len(connection.transports) for connection in self.connections),
            books={
                k: v for feed, _ in self.feeds.values() for k, v in feed.books_summary().items()
            },
        )


async def play(
    case: Case,
    settle_seconds: float = SETTLE_SECONDS,
    *,
    kept_events: int = KEPT_EVENTS,
    empty_books: bool = False,
) -> Played:
    """Play one case in the running loop's virtual time.

    With `empty_books` the books hold only the levels that the case itself brings.
    """
    async with same_jitter(), AsyncExitStack() as stack:
        stage = _Stage(case, kept_events, empty_books=empty_books)
        items = list(case.input)
        # answers that come first are those to the questions of the open
        while items and items[0].transport == "http":
            await stage.happen(items.pop(0))
        for window in case_streams.windows_of(case):
            await stage.open(stack, window)
        await stage.before()
        for item in items:
            await stage.happen(item)
        await asyncio.sleep(settle_seconds)
        return stage.played()


def recorded_answer(item: Item) -> RecordedAnswer:
    """Return the REST answer of an `http` item."""
    body = bytes(item.json) if item.text is None else item.text.encode()
    try:
        path = path_of(msgspec.json.decode(body))
    except (msgspec.DecodeError, UnicodeDecodeError):
        path = None
    return RecordedAnswer(item.status or 200, body, item.headers, item.error or "", path)


def name_of(venue_symbol: str) -> str | None:
    """Return cryptofeed's name of a wire symbol, None for a market type without one."""
    return market_name(msgspec.convert(market_row(venue_symbol), MarketRow))


def _added(parts: list[dict[str, Any]]) -> dict[str, Any]:
    total: dict[str, Any] = {}
    for part in parts:
        for key, value in part.items():
            inner = isinstance(value, dict)
            known = total.get(key, {} if inner else 0)
            total[key] = _added([known, value]) if inner else known + value
    return total


def _book_before(case: Case, symbol: str, *, empty: bool) -> ModelledBook:
    """Return the venue's book before the first delta, which continues its ids.

    What a case calls an overlap begins within the book, what it calls a restart far below it.
    """
    first = next(iter(case_streams.deltas_of(case, symbol)), None)
    if first is None:
        return ModelledBook(DEFAULT_UPDATE_ID)
    if "restart" in case.name:
        update_id = first.last_id + DEFAULT_UPDATE_ID
    else:
        update_id = first.first_id - ("overlap" not in case.name)
    if empty:
        return ModelledBook(update_id, {}, {})
    return ModelledBook.around(update_id, [price for price, _ in (*first.bids, *first.asks)])
