"""Looks at every frame that ccxt is given and at what ccxt makes of it. ccxt itself is unmodified.

ccxt has no place to ask when a frame came, which ids a delta had, or whether its reader still
lives. Its `handle_message` is where every decoded frame passes, so it is overridden by one that
looks, calls ccxt's own, and lets every exception through.
"""

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import ccxt.pro
from cryptofeed.defines import CANDLES, L1_BOOK, L2_BOOK, TICKER, TRADES

from backpack_feed.constants import ERROR_SIGNATURE, ORDER_INFO, POSITIONS
from backpack_feed.counters import FeedCounters
from backpack_feed.incumbent import defects
from backpack_feed.incumbent.defects import DeltaJudge, delta_ids

TRADES_KEPT = 1_000
"""As many as ccxt's own cache of trades keeps."""

EVENTS: Final = {
    L2_BOOK: ("depth",),
    TRADES: ("trade",),
    TICKER: ("bookTicker",),
    L1_BOOK: ("bookTicker",),
    CANDLES: ("kline",),
    ORDER_INFO: (
        "orderAccepted",
        "orderUpdate",
        "orderFill",
        "orderCancelled",
        "orderExpired",
        "orderModified",
        "triggerPlaced",
        "triggerFailed",
    ),
    POSITIONS: ("positionAdjusted", "positionOpened", "positionClosed", "positionUpdated"),
}
"""Channel → the events that ccxt reads for it."""
_POSITION_STREAM = "account.positionUpdate"


@dataclass(frozen=True)
class Market:
    """A market of the feed: cryptofeed's name, ccxt's name, and the channels that are wanted."""

    symbol: str
    ccxt_symbol: str
    channels: frozenset[str]


@dataclass
class Receipts:
    """When the frames of one market came: the last one per channel, and every trade in order."""

    last: dict[str, float] = field(default_factory=dict)
    trades: deque[float] = field(default_factory=lambda: deque(maxlen=TRADES_KEPT))


@dataclass
class Route:
    """Where frames of one event of one market belong: one channel, or two for quotes."""

    market: Market
    receipts: Receipts
    channels: list[str] = field(default_factory=list)


class FrameWitness:
    """One socket's frames: counted per wanted channel, timed, and judged.

    `markets` is keyed by the venue's symbol; frames of others are given to ccxt and not counted.
    `last_error` is the last error frame, in the words of the exception that ccxt makes of it.
    """

    def __init__(
        self,
        markets: Mapping[str, Market],
        counters: FeedCounters,
        clock: Callable[[], float],
        monotonic: Callable[[], float],
    ) -> None:
        self.alive_at = monotonic()
        self.reader_died = False
        self.signature_refused = False
        self.last_error: str | None = None
        self.receipts = {market.ccxt_symbol: Receipts() for market in markets.values()}
        self._routes = self._routed(markets)
        self._counters = counters
        self._clock = clock
        self._monotonic = monotonic
        self._deltas = DeltaJudge(counters.ccxt_defects)

    def _routed(self, markets: Mapping[str, Market]) -> dict[tuple[str, str], Route]:
        routes: dict[tuple[str, str], Route] = {}
        for venue_symbol, market in markets.items():
            for channel in sorted(market.channels):
                for event in EVENTS.get(channel, ()):
                    receipts = self.receipts[market.ccxt_symbol]
                    route = routes.setdefault((event, venue_symbol), Route(market, receipts))
                    route.channels.append(channel)
        return routes

    def arrived(self, message: Any) -> Route | None:
        """Count a frame, before ccxt has it; returns its route when the frame is wanted."""
        try:
            data = message["data"]
            route = self._routes.get((data["e"], data["s"]))
        except (KeyError, TypeError, IndexError):
            self._odd(message)
            return None
        if route is None:
            return None
        now = self._clock()
        self.alive_at = self._monotonic()
        for channel in route.channels:
            self._counters.message(channel, route.market.symbol, self.alive_at)
            route.receipts.last[channel] = now
        return route

    def _odd(self, message: Any) -> None:
        """Take note of what is no event: an error, or a position as it was at the start."""
        if not isinstance(message, dict):
            return
        self._refused(message.get("error"))
        data, stream = message.get("data"), message.get("stream")
        if not isinstance(data, dict) or not isinstance(stream, str):
            return
        wanted = isinstance(data.get("s"), str) and ("positionOpened", data["s"]) in self._routes
        if wanted and "e" not in data and stream.startswith(_POSITION_STREAM):
            self._counters.ccxt_defects[defects.POSITION_SNAPSHOT_LOST] += 1

    def _refused(self, error: Any) -> None:
        """Count an error frame, once for all the watchers in which ccxt raises it."""
        if not isinstance(error, dict):
            return
        self._counters.ccxt_defects[defects.ERROR_FRAME_FAILED_EVERY_WATCHER] += 1
        self.last_error = f"backpack {error.get('message')}"
        if str(error.get("code")) == str(ERROR_SIGNATURE):
            self.signature_refused = True
            self._counters.auth_failures += 1
        else:
            self._counters.ws_errors += 1

    def handled(self, route: Route, data: Mapping[str, Any], nonce: int | None) -> None:
        """Take note that ccxt took a wanted frame; `nonce` was the book's id before it."""
        if data["e"] == "trade":
            route.receipts.trades.append(route.receipts.last[TRADES])
        elif nonce is not None and data["e"] == "depth":
            ids = delta_ids(data)
            if ids is not None:
                self._deltas.delta(route.market.symbol, *ids, nonce)

    def reader_ended(self) -> None:
        """Note that the receive loop is over; counted once per socket."""
        if not self.reader_died:
            self.reader_died = True
            self._counters.ccxt_defects[defects.DEAD_READER] += 1
            self._counters.decode_error("handler")


class ObservedBackpack(ccxt.pro.backpack):
    """`ccxt.pro.backpack` with a witness."""

    def __init__(self, config: dict[str, Any], witness: FrameWitness) -> None:
        self.witness = witness
        super().__init__(config)

    def handle_message(self, client: Any, message: Any) -> None:
        """Look, let ccxt do its work, and look again."""
        route = self.witness.arrived(message)
        nonce = None
        if route is not None:
            book = self.orderbooks.get(route.market.ccxt_symbol)
            nonce = None if book is None else book["nonce"]
        try:
            super().handle_message(client, message)
        except Exception:
            self.witness.reader_ended()
            raise
        if route is not None:
            self.witness.handled(route, message["data"], nonce)
