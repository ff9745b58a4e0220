"""What a checker found: how much of each kind, and the first few in words."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from backpack_sandbox.words import counted

FINDINGS_KEPT: Final = 100
"""The counts tell the rest."""


class Kind(StrEnum):
    """How a tape can differ from the truth."""

    MISSING = "missing"
    REPEATED = "repeated"
    OUT_OF_ORDER = "out_of_order"
    ALTERED = "altered"
    INVENTED = "invented"
    WRONG_LEVELS = "wrong_levels"
    UNREADABLE = "unreadable"
    NOTHING_COMPARED = "nothing_compared"


@dataclass(frozen=True, slots=True)
class Finding:
    """One difference; `where` is the place on the tape, `number` the id it is about."""

    kind: Kind
    where: str
    symbol: str
    number: int | None
    detail: str

    def __str__(self) -> str:
        """One line."""
        about = " ".join(str(part) for part in (self.symbol, self.number) if part not in {"", None})
        parts = (self.where, self.kind.value, about, self.detail)
        return ": ".join(part for part in parts if part)

    def body(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "kind": self.kind.value,
            "where": self.where,
            "symbol": self.symbol,
            "id": self.number,
            "detail": self.detail,
        }


def _zeros() -> dict[Kind, int]:
    return dict.fromkeys(Kind, 0)


@dataclass(slots=True)
class Findings:
    """`trades`, `frames`, `books` and `levels` were compared; every one of `counts` must be 0."""

    trades: int = 0
    frames: int = 0
    books: int = 0
    levels: int = 0
    ignored: int = 0
    counts: dict[Kind, int] = field(default_factory=_zeros)
    first: list[Finding] = field(default_factory=list)

    @property
    def right(self) -> bool:
        """Nothing is wrong; of a whole tape also: something was compared."""
        return not any(self.counts.values())

    def end_tape(self, name: str) -> None:
        """Find that the whole tape `name` had nothing to say."""
        if self.right and not (self.trades or self.frames or self.books):
            detail = f"nothing on the tape to compare; {counted(self.ignored, 'line')} ignored"
            self.add(Finding(Kind.NOTHING_COMPARED, name, "", None, detail))

    def add(self, finding: Finding, count: int = 1) -> None:
        """Count a finding that stands for `count` of its kind."""
        self.counts[finding.kind] += count
        if len(self.first) < FINDINGS_KEPT:
            self.first.append(finding)

    def merge(self, other: "Findings") -> None:
        """Sum up."""
        for name in ("trades", "frames", "books", "levels", "ignored"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for kind, count in other.counts.items():
            self.counts[kind] += count
        self.first += other.first[: FINDINGS_KEPT - len(self.first)]

    def body(self) -> dict[str, Any]:
        """As the endpoint and the command give it in JSON."""
        return {
            "right": self.right,
            "compared": {
                name: getattr(self, name)
                for name in ("trades", "frames", "books", "levels", "ignored")
            },
            "counts": {kind.value: count for kind, count in self.counts.items()},
            "findings": [finding.body() for finding in self.first],
        }
