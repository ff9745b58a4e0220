"""Compares tapes with the truth: every trade, every change and every book, each at its id."""

from collections.abc import Iterable, Mapping
from typing import Final

from backpack_sandbox.market.catalog import Market
from backpack_sandbox.truth.book_checker import BookChecker
from backpack_sandbox.truth.findings import Finding, Findings, Kind
from backpack_sandbox.truth.ledger import Ledger
from backpack_sandbox.truth.market_truth import MarketTruth
from backpack_sandbox.truth.tape_lines import NOT_A_LINE, Line, TradeLine, read_line
from backpack_sandbox.truth.trade_checker import TradeChecker

UNREADABLE_SHOWN: Final = 120


class TapeChecker:
    """Takes one tape line by line, in the order it was written. Memory does not grow with it.

    What lies before the first trade or update of a stream was nobody's to deliver. With `complete`
    the trades up to the venue's newest must be there as well: for a tape whose writer has caught
    up with a market at a standstill.
    """

    def __init__(
        self, name: str, markets: Mapping[str, Market], ledger: Ledger, *, complete: bool = False
    ) -> None:
        self.findings = Findings()
        self._name = name
        self._markets = markets
        self._ledger = ledger
        self._complete = complete
        self._truths: dict[str, MarketTruth] = {}
        self._trades: dict[tuple[str, str], TradeChecker] = {}
        self._books: dict[str, BookChecker] = {}
        self._number = 0

    def take(self, text: bytes) -> None:
        """Compare the next line; an empty one is passed over."""
        self._number += 1
        if not text.strip():
            return
        try:
            line = read_line(text)
        except NOT_A_LINE as error:
            shown = text[:UNREADABLE_SHOWN].decode(errors="replace").rstrip()
            self._find(Kind.UNREADABLE, "", f"{_reason(error)} in {shown}")
            return
        if line is None:
            self.findings.ignored += 1
        elif line.symbol not in self._markets or not self._markets[line.symbol].has_book:
            self._find(Kind.INVENTED, str(line.symbol), "the venue has no book of this symbol")
        else:
            self._compare(line)

    def end(self) -> Findings:
        """All findings, now also of what never came."""
        for trades in self._trades.values():
            trades.end(complete=self._complete)
        for books in self._books.values():
            books.end()
        self.findings.end_tape(self._name)
        return self.findings

    def _compare(self, line: Line) -> None:
        where = f"{self._name}:{self._number}"
        if isinstance(line, TradeLine):
            self._trade_checker(line).take(where, line.row)
            return
        if line.symbol not in self._books:
            truth = self._truth(line.symbol)
            self._books[line.symbol] = BookChecker(self._name, truth, self.findings)
        self._books[line.symbol].take(where, line)

    def _trade_checker(self, line: TradeLine) -> TradeChecker:
        key = line.symbol, line.stream
        if key not in self._trades:
            truth = self._truth(line.symbol)
            self._trades[key] = TradeChecker(self._name, truth, self.findings)
        return self._trades[key]

    def _truth(self, symbol: str) -> MarketTruth:
        if symbol not in self._truths:
            self._truths[symbol] = MarketTruth(self._markets[symbol], self._ledger)
        return self._truths[symbol]

    def _find(self, kind: Kind, symbol: str, detail: str) -> None:
        where = f"{self._name}:{self._number}"
        self.findings.add(Finding(kind, where, symbol, None, detail))


def _reason(error: Exception) -> str:
    if isinstance(error, KeyError):
        return f"`{error.args[0]}` is missing"
    return str(error) or type(error).__name__


def check_tape(
    name: str,
    lines: Iterable[bytes],
    markets: Mapping[str, Market],
    ledger: Ledger,
    *,
    complete: bool = False,
) -> Findings:
    """Compare a whole tape; `name` stands before the line number in every finding."""
    checker = TapeChecker(name, markets, ledger, complete=complete)
    for line in lines:
        checker.take(line)
    return checker.end()
