"""What a checker found: how much of each kind, and the first few in words."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

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
        return f"{self.where}: {self.kind} {about}: {self.detail}"


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
        """Nothing is wrong."""
        return not any(self.counts.values())

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
            "findings": [
                {
                    "kind": finding.kind.value,
                    "where": finding.where,
                    "symbol": finding.symbol,
                    "id": finding.number,
                    "detail": finding.detail,
                }
                for finding in self.first
            ],
        }
