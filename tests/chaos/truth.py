"""What the venue published, in the words of cryptofeed, and the sandbox's own checkers of it."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from backpack_sandbox import Sandbox
from backpack_sandbox.market.matching import MatchingEngine
from backpack_sandbox.truth.findings import Finding, Findings, Kind
from backpack_sandbox.truth.levels import compare_books
from backpack_sandbox.truth.market_truth import BookSide, BookSides, MarketTruth, TradeRow
from backpack_sandbox.truth.trade_checker import TradeChecker


class Truth:
    """The venue's own ledger and journal of books; symbols are cryptofeed's."""

    def __init__(self, venue: Sandbox) -> None:
        self._venue = venue
        self._markets: dict[str, MarketTruth] = {}

    def last_trade_id(self, symbol: str) -> int:
        """The newest trade id."""
        return self._engine(symbol).last_trade_id

    def last_update_id(self, symbol: str) -> int:
        """The newest id of the book."""
        return self._engine(symbol).last_update_id

    def check_trades(
        self, where: str, symbol: str, delivered: Sequence[TradeRow], findings: Findings
    ) -> None:
        """From the first delivered id to the newest: every trade, once, in order, unaltered."""
        if not delivered:
            findings.add(Finding(Kind.MISSING, where, symbol, None, "no trade at all"))
            return
        checker = TradeChecker(where, self._market(symbol), findings)
        for row in delivered:
            checker.take(where, row)
        checker.end(complete=True)

    def check_book(
        self,
        where: str,
        about: tuple[str, int],
        delivered: tuple[BookSide, BookSide],
        findings: Findings,
        *,
        depth: int = 0,
    ) -> None:
        """Every level of the book of (symbol, id), of the best `depth` ones; 0 means all."""
        findings.books += 1
        truth = self._market(about[0]).book(about[1])
        if truth is None:
            detail = "the venue never had a book of this id"
            findings.add(Finding(Kind.INVENTED, where, *about, detail))
            return
        want = BookSides(
            best(truth.bids, depth, reverse=True), best(truth.asks, depth, reverse=False)
        )
        compare_books(findings, (where, *about), BookSides(*delivered), want)

    def _market(self, symbol: str) -> MarketTruth:
        if symbol not in self._markets:
            market = self._engine(symbol).market
            self._markets[symbol] = MarketTruth(market, self._venue.ledger)
        return self._markets[symbol]

    def _engine(self, symbol: str) -> MatchingEngine:
        return self._venue.exchange.engines[symbol.replace("-", "_")]


def best(side: BookSide, depth: int, *, reverse: bool) -> BookSide:
    """The best `depth` levels; 0 means all."""
    return dict(sorted(side.items(), reverse=reverse)[:depth]) if depth else side


def time_us(seconds: float) -> int:
    """A feed's unix seconds as the venue's µs."""
    return round(seconds * 1_000_000)


def side(levels: Any) -> BookSide:
    """Price → amount of one side of a taped book."""
    return {Decimal(price): Decimal(amount) for price, amount in levels}
