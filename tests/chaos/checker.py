"""Compares what was delivered with what the venue published. Pure."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

type TradeRow = tuple[int, str, Decimal, Decimal, float | None]
"""(id, side, price, amount, unix seconds or None when the time is not to be compared)."""
type Side = Mapping[Decimal, Decimal]


@dataclass
class Findings:
    """What a checker saw; every count but `trades`, `books` and `levels` must be 0."""

    trades: int = 0
    books: int = 0
    levels: int = 0
    lost: int = 0
    repeated: int = 0
    out_of_order: int = 0
    wrong_trades: int = 0
    wrong_levels: int = 0
    complaints: list[str] = field(default_factory=list)

    @property
    def right(self) -> bool:
        """Nothing is wrong."""
        return not self.complaints

    def complain(self, text: str) -> None:
        """Keep the first complaints; the counts tell the rest."""
        if len(self.complaints) < 10:
            self.complaints.append(text)

    def add(self, other: "Findings") -> None:
        """Sum up."""
        for name, value in vars(other).items():
            setattr(self, name, getattr(self, name) + value)


def check_trades(
    where: str, delivered: Sequence[TradeRow], truth: Iterable[TradeRow], findings: Findings
) -> None:
    """From the first delivered id on: every trade, once, in order, with the published fields."""
    if not delivered:
        findings.complain(f"{where}: no trade at all")
        return
    first_id = delivered[0][0]
    expected = {row[0]: row for row in truth if row[0] >= first_id}
    findings.trades += len(delivered)
    times = Counter(row[0] for row in delivered)
    lost = sorted(expected.keys() - times.keys())
    repeated = sorted(number for number, count in times.items() if count > 1)
    findings.lost += len(lost)
    findings.repeated += sum(times[number] - 1 for number in repeated)
    for what, ids in (("lost", lost), ("repeated", repeated)):
        if ids:
            findings.complain(f"{where}: {len(ids)} trades {what}, the first is {ids[0]}")
    reached = 0
    for row in delivered:
        if row[0] < reached:
            findings.out_of_order += 1
            findings.complain(f"{where}: trade {row[0]} came after {reached}")
        reached = max(reached, row[0])
        if not _same_trade(row, expected.get(row[0])):
            findings.wrong_trades += 1
            findings.complain(f"{where}: was {row}, published was {expected.get(row[0])}")


def check_book(
    where: str, delivered: tuple[Side, Side], truth: tuple[Side, Side] | None, findings: Findings
) -> None:
    """Every level of both sides (bids, asks), and none that is not the venue's."""
    findings.books += 1
    if truth is None:
        findings.wrong_levels += 1
        findings.complain(f"{where}: the venue never had a book of this id")
        return
    for name, got, want in zip(("bid", "ask"), delivered, truth, strict=True):
        prices = got.keys() | want.keys()
        findings.levels += len(prices)
        wrong = sorted(price for price in prices if got.get(price) != want.get(price))
        findings.wrong_levels += len(wrong)
        if wrong:
            price = wrong[0]
            findings.complain(
                f"{where}: {len(wrong)} wrong {name} levels, the first at {price}:"
                f" {got.get(price)}, the venue had {want.get(price)}"
            )


def _same_trade(row: TradeRow, expected: Any) -> bool:
    if expected is None:
        return False
    if row[4] is None:
        return bool(row[:4] == expected[:4])
    return bool(row == expected)
