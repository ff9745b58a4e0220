"""Compares books level by level."""

from backpack_sandbox.truth.findings import Finding, Findings, Kind
from backpack_sandbox.truth.market_truth import BookSide, BookSides
from backpack_sandbox.words import counted

type Place = tuple[str, str, int]
"""(where on the tape, symbol, update id)."""


def compare_books(findings: Findings, place: Place, got: BookSides, want: BookSides) -> None:
    """Every level of both sides, and none that is not the venue's."""
    for (name, side), (_, true_side) in zip(got.both(), want.both(), strict=True):
        compare_sides(findings, place, name, side, true_side)


def compare_sides(
    findings: Findings, place: Place, name: str, got: BookSide, want: BookSide
) -> None:
    """One side, `bid` or `ask`; all its wrong levels are one finding."""
    prices = got.keys() | want.keys()
    findings.levels += len(prices)
    wrong = sorted(price for price in prices if got.get(price) != want.get(price))
    if wrong:
        price = wrong[0]
        detail = (
            f"{counted(len(wrong), f'wrong {name} level')}, the first at {price}:"
            f" {got.get(price, 'nothing')}, the venue had {want.get(price, 'nothing')}"
        )
        findings.add(Finding(Kind.WRONG_LEVELS, *place, detail), len(wrong))
