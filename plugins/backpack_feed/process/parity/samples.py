"""Evidence of disagreements: the first and the last few of each sort. Bounded, free of secrets."""

from collections import deque
from typing import Any, Final

from backpack_feed.process.parity.values import Finding

FIRST: Final = 5
LAST: Final = 15


class Samples:
    """At most `FIRST` + `LAST` samples of each finding; there are only so many findings.

    The first tell how it began, the last what it is like now.
    """

    def __init__(self) -> None:
        self._first: dict[Finding, list[dict[str, Any]]] = {}
        self._last: dict[Finding, deque[dict[str, Any]]] = {}

    def __len__(self) -> int:
        return sum(map(len, self._first.values())) + sum(map(len, self._last.values()))

    def keep(self, finding: Finding, at: float, evidence: dict[str, Any]) -> None:
        """Keep JSON values; `at` is unix seconds."""
        kind, blamed = finding
        sample = {"at": round(at, 3), "kind": kind, "blamed": blamed, **evidence}
        first = self._first.setdefault(finding, [])
        if len(first) < FIRST:
            first.append(sample)
        else:
            self._last.setdefault(finding, deque(maxlen=LAST)).append(sample)

    def all(self) -> list[dict[str, Any]]:
        """Return every sample, oldest first."""
        kept = [s for samples in self._first.values() for s in samples]
        kept += [s for samples in self._last.values() for s in samples]
        return sorted(kept, key=lambda sample: sample["at"])
