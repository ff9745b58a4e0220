"""Compares the best bid and ask of one market with the true ones, frame by frame."""

from decimal import Decimal
from itertools import islice
from typing import Final

from backpack_sandbox.truth.findings import Finding, Findings, Kind
from backpack_sandbox.truth.levels import compare_sides
from backpack_sandbox.truth.market_truth import BookSides, MarketTruth
from backpack_sandbox.truth.tape_lines import TopFrame

MISSING_KEPT: Final = 100_000
"""Ids that may still come late; of more the oldest are given up."""


class TopChecker:
    """The venue sends a frame at each update that changes the top, and at no other."""

    def __init__(self, name: str, truth: MarketTruth, findings: Findings) -> None:
        self._name = name
        self._truth = truth
        self._findings = findings
        self._first: int | None = None
        self._last = -1
        self._missing: dict[int, None] = {}

    def take(self, where: str, line: TopFrame, truth: BookSides) -> None:
        """Compare the next frame with the `truth` at its id."""
        place = where, self._truth.symbol, line.update_id
        for name, got, prices, best in (
            ("bid", line.bid, truth.bids, max),
            ("ask", line.ask, truth.asks, min),
        ):
            want: dict[Decimal, Decimal] = {}
            if prices:
                want[best(prices)] = prices[best(prices)]
            compare_sides(self._findings, place, name, {} if got is None else dict([got]), want)
        self._follow(where, line.update_id)

    def end(self) -> None:
        """Find the frames that never came."""
        for update_id in self._missing:
            self._find(Kind.MISSING, self._name, update_id, "never came")

    def _follow(self, where: str, update_id: int) -> None:
        if self._first is None:
            self._first = self._last = update_id
            return
        if update_id <= self._last:
            is_late = update_id in self._missing or update_id < self._first
            self._missing.pop(update_id, None)
            kind = Kind.OUT_OF_ORDER if is_late else Kind.REPEATED
            self._find(kind, where, update_id, f"came after {self._last}")
            return
        changed = self._truth.tops(self._last, update_id)
        if not changed or changed[-1] != update_id:
            self._find(Kind.INVENTED, where, update_id, "told of a top that had not changed")
        self._missing |= dict.fromkeys(number for number in changed if number != update_id)
        self._give_up()
        self._last = update_id

    def _give_up(self) -> None:
        for number in list(islice(self._missing, max(0, len(self._missing) - MISSING_KEPT))):
            del self._missing[number]
            self._find(Kind.MISSING, self._name, number, "never came")

    def _find(self, kind: Kind, where: str, number: int, detail: str) -> None:
        symbol = self._truth.symbol
        self._findings.add(Finding(kind, where, symbol, number, f"bookTicker frame {detail}"))
