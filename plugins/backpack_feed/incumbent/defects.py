"""What ccxt 4.5.90 does wrong, counted from outside and left as it is (protocol section 10)."""

from collections import deque
from collections.abc import Mapping
from typing import Any, Final

BOOK_GAP_UNNOTICED: Final = "book_gap_unnoticed"
DELTA_APPLIED_TWICE: Final = "delta_applied_twice"
CROSSED_BOOK_PUBLISHED: Final = "crossed_book_published"
SEQUENCE_RESTART_FREEZE: Final = "sequence_restart_freeze"
STALE_BOOK_AFTER_RECONNECT: Final = "stale_book_after_reconnect"
SNAPSHOT_BEHIND_CLOSED_SOCKET: Final = "snapshot_behind_closed_socket"
DEAD_READER: Final = "dead_reader"
ERROR_FRAME_FAILED_EVERY_WATCHER: Final = "error_frame_failed_every_watcher"
REPEATED_TRADE: Final = "repeated_trade"
INCOMPLETE_TRADE: Final = "incomplete_trade"
ORDER_TOTAL_WRONG: Final = "order_total_wrong"
POSITION_ENTRY_WRONG: Final = "position_entry_wrong"
POSITION_SNAPSHOT_LOST: Final = "position_snapshot_lost"

KINDS: Final = {
    BOOK_GAP_UNNOTICED: "deltas applied although their `U` left a hole after the book's id",
    DELTA_APPLIED_TWICE: "deltas applied although the book already had their id",
    CROSSED_BOOK_PUBLISHED: "books handed out with the best bid at or above the best ask",
    SEQUENCE_RESTART_FREEZE: "runs of old ids after which the book no longer moves",
    STALE_BOOK_AFTER_RECONNECT: "lost sockets whose books ccxt would have gone on with",
    SNAPSHOT_BEHIND_CLOSED_SOCKET: "sockets closed because a snapshot was older than the deltas",
    DEAD_READER: "receive loops that ended at a frame and told nobody",
    ERROR_FRAME_FAILED_EVERY_WATCHER: "error frames that were raised in every watcher",
    REPEATED_TRADE: "trades handed out again under the same id",
    INCOMPLETE_TRADE: "trades handed out without id, price, amount, side or time",
    ORDER_TOTAL_WRONG: "orders whose filled amount is the last fill and not the total",
    POSITION_ENTRY_WRONG: "positions whose entry price is the break-even price",
    POSITION_SNAPSHOT_LOST: "open positions at the start of a subscription that ccxt ignored",
}
"""Every kind that can be counted, and what one count is."""

STALE_RUN_FRAMES = 20
"""The only-stale rule of protocol section 6.3."""
REMEMBERED_TRADES = 1_000
"""As many as ccxt keeps."""


class DeltaJudge:
    """Compares the ids of the deltas of one socket with what ccxt made of them. Pure."""

    def __init__(self, counts: dict[str, int]) -> None:
        self._counts = counts
        self._stale_runs: dict[str, int] = {}

    def delta(self, symbol: str, first_id: int, last_id: int, nonce: int) -> None:
        """Judge a delta that met a book at `nonce`; ccxt applies every one with `u >= nonce`."""
        if first_id == nonce + 1:
            self._stale_runs.pop(symbol, None)
            return
        if last_id < nonce:
            run = self._stale_runs.get(symbol, 0) + 1
            self._stale_runs[symbol] = run
            self._counts[SEQUENCE_RESTART_FREEZE] += run == STALE_RUN_FRAMES
            return
        self._stale_runs.pop(symbol, None)
        self._counts[DELTA_APPLIED_TWICE] += last_id == nonce
        self._counts[BOOK_GAP_UNNOTICED] += first_id > nonce + 1


class RepeatedTrades:
    """The newest ids that ccxt handed out for one market."""

    def __init__(self, counts: dict[str, int]) -> None:
        self._counts = counts
        self._order: deque[int] = deque()
        self._ids: set[int] = set()

    def handed_out(self, trade_id: int | None) -> None:
        """Count the trade when its id was there before; the venue's id 0 stands for "no id"."""
        if not trade_id:
            return
        if trade_id in self._ids:
            self._counts[REPEATED_TRADE] += 1
            return
        self._ids.add(trade_id)
        self._order.append(trade_id)
        if len(self._order) > REMEMBERED_TRADES:
            self._ids.discard(self._order.popleft())


def delta_ids(data: Mapping[str, Any]) -> tuple[int, int] | None:
    """Return (`U`, `u`) of a depth payload, integers or digit strings, or None."""
    first_id, last_id = data.get("U"), data.get("u")
    if type(first_id) is int and type(last_id) is int:
        return first_id, last_id
    try:
        return int(str(first_id)), int(str(last_id))
    except ValueError:
        return None
