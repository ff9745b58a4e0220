"""The three cryptofeed feeds under test, pointed at the local server by configuration alone.

Each is imported where it is made: a process loads the feed that it measures and no other.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from cryptofeed.connection import RestEndpoint, WebsocketEndpoint
from cryptofeed.defines import L2_BOOK, TRADES

from benchmarks.job import Job, Top
from benchmarks.progress import Progress

TROUBLE: Final = (
    "book_resyncs",
    "decode_errors",
    "dropped_messages",
    "reconnects",
    "sequence_gaps",
    "trade_duplicates",
    "trades_lost",
    "ws_errors",
)


@dataclass(frozen=True)
class Contender:
    """A feed to run; `ready` once its books are in place, `complaints` names what went wrong."""

    feed: Any
    ready: Callable[[], bool]
    tops: Callable[[], dict[str, Top]]
    complaints: Callable[[], list[str]]


def native(job: Job, progress: Progress) -> Contender:
    """Backpack's native feed; its clock is the precise one, so that delays can be told."""
    from backpack_feed import BackpackFeed  # noqa: PLC0415

    feed = BackpackFeed(**_settings(job, progress), clock=time.perf_counter)
    return _backpack(feed, job, progress)


def ccxt(job: Job, progress: Progress) -> Contender:
    """The incumbent."""
    from backpack_feed import CcxtBackpackFeed  # noqa: PLC0415

    # two of its tasks take trades of one market, so a hole may show for a moment and is no loss:
    # that each trade came once is checked by their number
    feed = CcxtBackpackFeed(**_settings(job, progress))
    return _backpack(feed, job, progress, excused="sequence_gaps")


def gate(job: Job, progress: Progress) -> Contender:
    """Cryptofeed's own `Gate`; only its addresses differ. The CA comes by `SSL_CERT_FILE`."""
    from cryptofeed.exchanges import Gate  # noqa: PLC0415

    rest, ws = Gate.rest_endpoints[0], Gate.websocket_endpoints[0]

    class LocalGate(Gate):  # type: ignore[misc]
        rest_endpoints = (RestEndpoint(job.rest_url, routes=rest.routes),)
        websocket_endpoints = (WebsocketEndpoint(job.ws_url, options=ws.options),)

    feed = LocalGate(
        symbols=job.symbols, channels=[TRADES, L2_BOOK], callbacks=_callbacks(progress)
    )
    connects: Callable[[], list[int]] = lambda: [  # noqa: E731 - two words for one number
        handler.conn.connects for handler in feed.connection_handlers
    ]
    return Contender(
        feed,
        # each market: the snapshot, the primer's change and the primer's trade
        ready=lambda: progress.seen == 3 * len(job.symbols),
        tops=lambda: {symbol: _top(book.book) for symbol, book in feed._l2_book.items()},  # noqa: SLF001
        complaints=lambda: [] if connects() == [1] else [f"connected {connects()} times"],
    )


def _settings(job: Job, progress: Progress) -> dict[str, Any]:
    return {
        "symbols": job.symbols,
        "channels": [TRADES, L2_BOOK],
        "callbacks": _callbacks(progress),
        "rest_url": job.rest_url,
        "ws_url": job.ws_url,
        "ca_file": job.ca_file,
    }


def _callbacks(progress: Progress) -> dict[str, Any]:
    return {TRADES: progress.on_trade, L2_BOOK: progress.on_book}


def _backpack(feed: Any, job: Job, progress: Progress, excused: str = "") -> Contender:
    def ready() -> bool:
        return all(feed.readiness().values()) and progress.trades == len(job.symbols)

    return Contender(feed, ready, lambda: _summarised(feed), lambda: _troubles(feed, excused))


def _summarised(feed: Any) -> dict[str, Top]:
    return {
        symbol: Top(str(book["best_bid"]), str(book["best_ask"]))
        for symbol, book in feed.books_summary().items()
    }


def _troubles(feed: Any, excused: str) -> list[str]:
    counts: Mapping[str, Any] = feed.metrics_snapshot()
    return [f"{n}: {counts[n]}" for n in TROUBLE if n != excused and counts.get(n)]


def _top(book: Any) -> Top:
    return Top(str(book.bids.index(0)[0]), str(book.asks.index(0)[0]))
