"""What parity costs a shadow process: `python -m benchmarks.parity`.

CPU per event on a market of 1,000 levels a side, and the memory that a dead feed or a dead venue
can fill. No venue and no socket: the cost of the third socket is that of one more `decode` a frame.
"""

import json
import random
import sys
import time
import tracemalloc
from collections.abc import Callable, Iterator
from decimal import Decimal

from order_book import OrderBook as Ladder

from backpack_feed.process.parity.books import Change, top_of
from backpack_feed.process.parity.comparison import Parity
from backpack_feed.process.parity.raw import RawBook
from backpack_feed.process.parity.values import CCXT, NATIVE, Level, SeenTrade, Top
from backpack_feed.wire.messages import DepthMessage

LEVELS = 1_000
EVENTS = 50_000
CCXT_EVERY = 5
SYMBOL = "SOL-USDC"
MICROSECONDS = 1e6


def main() -> None:
    """Print one JSON object."""
    figures = {
        "trade_pair_us": _per_event(_trades, EVENTS),
        "native_change_us": _per_event(lambda: _native_alone(EVENTS), EVENTS),
        "ccxt_book_us": _per_event(_books, EVENTS // CCXT_EVERY),
        "bystander_frame_us": _per_event(_frames, EVENTS),
        "dead_ccxt_mb": _megabytes(lambda: _one_sided(NATIVE)),
        "dead_native_mb": _megabytes(lambda: _one_sided(CCXT)),
        "events": EVENTS,
    }
    sys.stdout.write(json.dumps(figures, indent=2) + "\n")


def _per_event(run: Callable[[], object], events: int) -> float:
    began = time.process_time()
    run()
    return round((time.process_time() - began) / events * MICROSECONDS, 2)


def _megabytes(run: Callable[[], object]) -> float:
    tracemalloc.start()
    kept = run()
    size = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    del kept
    return round(size / 1e6, 2)


def _seen(at: float) -> SeenTrade:
    return SeenTrade("buy", Decimal("98.40"), Decimal("1.5"), at, at, 0.01)


def _trades() -> Parity:
    parity = Parity()
    for trade_id in range(1, EVENTS + 1):
        for variant in (NATIVE, CCXT):
            parity.trade(variant, SYMBOL, trade_id, _seen(trade_id / 100))
    return parity


def _whole() -> Change:
    bids = tuple((Decimal(5_000 - n), Decimal(1)) for n in range(LEVELS))
    asks = tuple((Decimal(5_001 + n), Decimal(1)) for n in range(LEVELS))
    return Change(0, bids, asks, whole=True)


def _changes(count: int) -> Iterator[Change]:
    chance = random.Random(7)  # noqa: S311 - a tape, not a secret
    for sequence in range(1, count + 1):
        depth = chance.randrange(LEVELS)
        level: Level = (Decimal(5_000 - depth), Decimal(chance.randrange(1, 9)))
        yield Change(sequence, (level,), ())


def _native_alone(count: int) -> Parity:
    parity = Parity()
    parity.native_book(SYMBOL, _whole(), 0.0)
    for change in _changes(count):
        parity.native_book(SYMBOL, change, change.sequence / 100)
    return parity


def _books() -> Parity:
    """Every fifth change is compared; reading the top of ccxt's book is part of the cost."""
    parity = Parity()
    whole, shown = _whole(), Ladder()
    shown.bids, shown.asks = dict(whole.bids), dict(whole.asks)
    parity.native_book(SYMBOL, whole, 0.0)
    for change in _changes(EVENTS):
        parity.native_book(SYMBOL, change, change.sequence / 100)
        for price, amount in change.bids:
            shown.bids[price] = amount
        if change.sequence % CCXT_EVERY == 0:
            parity.ccxt_book(SYMBOL, change.sequence, top_of(shown), change.sequence / 100)
    if parity.books.disagreed:
        raise RuntimeError("the tape is wrong: its own books differ")
    return parity


def _frames() -> RawBook:
    book = RawBook()
    for change in _changes(EVENTS):
        book.delta(
            DepthMessage(
                symbol="SOL_USDC",
                first_id=change.sequence,
                last_id=change.sequence,
                bids=list(change.bids),
                asks=[],
                engine_time_us=change.sequence,
            )
        )
    return book


def _one_sided(variant: str) -> Parity:
    """One feed says everything, the other nothing, and the venue never answers."""
    parity = _native_alone(EVENTS) if variant == NATIVE else Parity()
    for other in (NATIVE, CCXT):
        parity.trade(other, SYMBOL, 1, _seen(0.0))
    top: Top = (tuple(_whole().bids[:100]), tuple(_whole().asks[:100]))
    for trade_id in range(2, EVENTS + 1):
        parity.trade(variant, SYMBOL, trade_id, _seen(trade_id / 100))
        if variant == CCXT:
            parity.ccxt_book(SYMBOL, trade_id, top, trade_id / 100)
        if trade_id % 100 == 0:
            parity.expire(trade_id / 100)
    return parity


if __name__ == "__main__":
    main()
