"""Compares the trades of one market with the published ones."""

from collections.abc import Iterator

from backpack_sandbox.truth.findings import Finding, Findings, Kind
from backpack_sandbox.truth.id_sequence import IdSequence
from backpack_sandbox.truth.market_truth import MarketTruth, TradeRow


class TradeChecker:
    """From the first delivered id on: every trade, once, in order, with the published fields."""

    def __init__(self, name: str, truth: MarketTruth, findings: Findings) -> None:
        self._name = name
        self._truth = truth
        self._findings = findings
        self._ids = IdSequence()
        self._ahead: Iterator[TradeRow] = iter(())
        self._ahead_id = -1

    def take(self, where: str, row: TradeRow) -> None:
        """Compare the next trade of the tape."""
        self._findings.trades += 1
        published = self._published(row.trade_id)
        if published is None:
            self._find(Kind.INVENTED, where, row.trade_id, "the venue never published this id")
            return
        if (kind := self._ids.take(row.trade_id, row.trade_id)) is not None:
            self._find(kind, where, row.trade_id, f"came after {self._ids.last}")
        for field, was, want in zip(row._fields, row, published, strict=True):
            if was is not None and was != want:
                detail = f"{field} was {was}, published was {want}"
                self._find(Kind.ALTERED, where, row.trade_id, detail)

    def end(self, *, complete: bool) -> None:
        """Find what never came; with `complete` up to the newest published trade."""
        newest = self._truth.newest_trade_id
        holes = list(self._ids.holes())
        if complete and self._ids.first is not None and self._ids.last < newest:
            holes.append((self._ids.last + 1, newest))
        for first, last in holes:
            count = last - first + 1
            detail = "never came" if count == 1 else f"never came, nor the {count - 1} after it"
            self._find(Kind.MISSING, self._name, first, detail, count)

    def _published(self, trade_id: int) -> TradeRow | None:
        if trade_id != self._ahead_id + 1:
            self._ahead = self._truth.trades(trade_id)
        self._ahead_id = -1
        row = next(self._ahead, None)
        if row is None:  # perhaps it was published only after the last look
            self._ahead = self._truth.trades(trade_id)
            row = next(self._ahead, None)
        if row is None or row.trade_id != trade_id:
            return None
        self._ahead_id = trade_id
        return row

    def _find(self, kind: Kind, where: str, trade_id: int, detail: str, count: int = 1) -> None:
        symbol = self._truth.symbol
        self._findings.add(Finding(kind, where, symbol, trade_id, f"trade {detail}"), count)
