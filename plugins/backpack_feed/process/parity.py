"""Native against ccxt: the same trades by id, the same books by sequence. Pure: no clock, no I/O.

Trades are compared by venue id and never by time: ccxt takes the time of the event (`E`) and not
of the trade (`T`). Per symbol, the first id that both feeds delivered is the start; from there on
an id that only one of them delivered within the lateness bound is missing on the other.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

CCXT = "ccxt"
NATIVE = "native"
OTHER = {CCXT: NATIVE, NATIVE: CCXT}
LATENESS_SECONDS = 30.0
MAX_PENDING = 5_000
MAX_SAMPLES = 50
BOOKS_REMEMBERED = 512

Level = tuple[Decimal, Decimal]
"""Price and amount."""
Top = tuple[tuple[Level, ...], tuple[Level, ...]]
"""The best bids and the best asks, best first."""


@dataclass(frozen=True)
class SeenTrade:
    """What one feed says about one trade; `at_seconds` is when it said so."""

    side: str
    price: Decimal
    amount: Decimal
    at_seconds: float

    def differences(self, other: "SeenTrade") -> tuple[str, ...]:
        """Name the fields in which the two disagree; decimals are compared by value."""
        return tuple(
            name
            for name in ("side", "price", "amount")
            if getattr(self, name) != getattr(other, name)
        )


@dataclass
class _TradeState:
    start_id: int | None = None
    newest_id: dict[str, int] = field(default_factory=lambda: {CCXT: 0, NATIVE: 0})
    pending: dict[str, dict[int, SeenTrade]] = field(default_factory=lambda: {CCXT: {}, NATIVE: {}})


class Parity:
    """Counters and samples of disagreement between the two feeds of one shadow process."""

    def __init__(
        self, *, lateness_seconds: float = LATENESS_SECONDS, max_pending: int = MAX_PENDING
    ) -> None:
        self.lateness_seconds = lateness_seconds
        self.max_pending = max_pending
        self.trades_matched = 0
        self.trades_missing = {CCXT: 0, NATIVE: 0}
        self.trades_altered = {CCXT: 0, NATIVE: 0}
        self.books_compared = 0
        self.books_mismatched = 0
        self.samples: deque[dict[str, Any]] = deque(maxlen=MAX_SAMPLES)
        self._trades: dict[str, _TradeState] = {}
        self._books: dict[str, dict[str, dict[int, Top]]] = {}

    def trade(self, variant: str, symbol: str, trade_id: int, seen: SeenTrade) -> None:
        """Take one trade of one feed; ids come ascending per feed, a repeat is ignored."""
        state = self._trades.setdefault(symbol, _TradeState())
        if trade_id <= state.newest_id[variant]:
            return
        state.newest_id[variant] = trade_id
        if state.start_id is not None and trade_id < state.start_id:
            return
        partner = state.pending[OTHER[variant]].pop(trade_id, None)
        if partner is None:
            state.pending[variant][trade_id] = seen
            self._bound(symbol, state, variant)
            return
        if state.start_id is None:
            self._start(state, trade_id)
        self._match(symbol, trade_id, {variant: seen, OTHER[variant]: partner})

    def expire(self, now_seconds: float) -> None:
        """Give up on partners that are later than the bound."""
        for symbol, state in self._trades.items():
            for variant, pending in state.pending.items():
                while pending:
                    trade_id = next(iter(pending))
                    if now_seconds - pending[trade_id].at_seconds <= self.lateness_seconds:
                        break
                    self._give_up(symbol, state, variant, trade_id)

    def book(self, variant: str, symbol: str, sequence: int, top: Top) -> None:
        """Take the top of one feed's book at one sequence number."""
        books = self._books.setdefault(symbol, {CCXT: {}, NATIVE: {}})
        partner = books[OTHER[variant]].pop(sequence, None)
        if partner is None:
            mine = books[variant]
            mine[sequence] = top
            if len(mine) > BOOKS_REMEMBERED:
                del mine[next(iter(mine))]
            return
        self.books_compared += 1
        if partner != top:
            self.books_mismatched += 1
            tops = {variant: top, OTHER[variant]: partner}
            self.samples.append(
                {
                    "kind": "book",
                    "symbol": symbol,
                    "sequence": sequence,
                    "first_difference": _first_difference(tops[CCXT], tops[NATIVE]),
                }
            )

    def summary(self) -> dict[str, Any]:
        """Return every counter and sample as JSON values."""
        return {
            "trades_matched": self.trades_matched,
            "trades_missing": dict(self.trades_missing),
            "trades_altered": dict(self.trades_altered),
            "books_compared": self.books_compared,
            "books_mismatched": self.books_mismatched,
            "samples": list(self.samples),
        }

    def _start(self, state: _TradeState, start_id: int) -> None:
        """Everything older than the first common id was before the comparison."""
        state.start_id = start_id
        for pending in state.pending.values():
            for trade_id in [i for i in pending if i < start_id]:
                del pending[trade_id]

    def _match(self, symbol: str, trade_id: int, said: dict[str, SeenTrade]) -> None:
        fields = said[NATIVE].differences(said[CCXT])
        if not fields:
            self.trades_matched += 1
            return
        # the candidate carries the doubt: without a witness a difference is the native feed's
        self.trades_altered[NATIVE] += 1
        self.samples.append(
            {
                "kind": "altered",
                "symbol": symbol,
                "id": trade_id,
                "fields": {
                    name: {v: str(getattr(said[v], name)) for v in (CCXT, NATIVE)}
                    for name in fields
                },
            }
        )

    def _bound(self, symbol: str, state: _TradeState, variant: str) -> None:
        pending = state.pending[variant]
        if len(pending) > self.max_pending:
            self._give_up(symbol, state, variant, next(iter(pending)))

    def _give_up(self, symbol: str, state: _TradeState, variant: str, trade_id: int) -> None:
        del state.pending[variant][trade_id]
        if state.start_id is None:
            return
        absent = OTHER[variant]
        self.trades_missing[absent] += 1
        self.samples.append(
            {"kind": "missing", "symbol": symbol, "id": trade_id, "variant": absent}
        )


def _first_difference(ccxt: Top, native: Top) -> dict[str, Any]:
    for side, left, right in (("bids", ccxt[0], native[0]), ("asks", ccxt[1], native[1])):
        for depth, (mine, theirs) in enumerate(_longest(left, right)):
            if mine != theirs:
                return {"side": side, "depth": depth, CCXT: _text(mine), NATIVE: _text(theirs)}
    return {}


def _longest(
    left: tuple[Level, ...], right: tuple[Level, ...]
) -> Iterator[tuple[Level | None, Level | None]]:
    for depth in range(max(len(left), len(right))):
        yield (
            left[depth] if depth < len(left) else None,
            right[depth] if depth < len(right) else None,
        )


def _text(level: Level | None) -> list[str] | None:
    return None if level is None else [format(value, "f") for value in level]
