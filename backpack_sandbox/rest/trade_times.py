"""Trades by time: ids have no holes and times only grow, so a time is found by halving the ids."""

from bisect import bisect_left
from collections.abc import Iterator
from itertools import takewhile

from backpack_sandbox.truth.ledger import Ledger, PublishedTrade


def trades_between(
    ledger: Ledger, symbol: str, start_us: int, end_us: int
) -> Iterator[PublishedTrade]:
    """Trades of one market with `start_us` <= engine time < `end_us`, oldest first."""
    newest = next(iter(ledger.newest_trades(symbol, 1)), None)
    if newest is None or newest.engine_us < start_us:
        return iter(())
    first_id = _first_id(ledger, symbol, start_us, newest.event.trade_id)
    return takewhile(lambda trade: trade.engine_us < end_us, ledger.trades_since(symbol, first_id))


def _first_id(ledger: Ledger, symbol: str, at_us: int, newest_id: int) -> int:
    oldest = _trade_from(ledger, symbol, 0)
    ids = range(oldest.event.trade_id, newest_id + 1)
    found = bisect_left(ids, at_us, key=lambda i: _trade_from(ledger, symbol, i).engine_us)
    return ids[found]


def _trade_from(ledger: Ledger, symbol: str, trade_id: int) -> PublishedTrade:
    return next(iter(ledger.trades_since(symbol, trade_id)))
