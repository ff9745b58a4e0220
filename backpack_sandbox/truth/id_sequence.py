"""Ids that should come one after the other: which are missing, which come again or late."""

from collections.abc import Iterator
from typing import Final

from backpack_sandbox.truth.findings import Kind

MISSING_KEPT: Final = 100_000
"""Ids of a hole that may still come late; of a larger hole the oldest are given up."""


class IdSequence:
    """Follows the ids of one stream from the first that came. An item may cover several ids."""

    def __init__(self) -> None:
        self.first: int | None = None
        self.last = -1
        self._missing: dict[int, None] = {}
        self._given_up: list[tuple[int, int]] = []

    def take(self, first_id: int, last_id: int) -> Kind | None:
        """None when the item is new and in its place, or leaves a hole before it."""
        if self.first is None:
            self.first, self.last = first_id, last_id
            return None
        if first_id > self.last:
            self._skip(range(self.last + 1, first_id))
            self.last = last_id
            return None
        # what was missing, or was before the first, is late; all else came before
        late = [number for number in range(first_id, last_id + 1) if self._is_late(number)]
        for number in late:
            self._missing.pop(number, None)
        self.last = max(self.last, last_id)
        return Kind.OUT_OF_ORDER if late else Kind.REPEATED

    def holes(self) -> Iterator[tuple[int, int]]:
        """(first, last) of every run of ids that never came."""
        yield from self._given_up
        run: tuple[int, int] | None = None
        for number in sorted(self._missing):
            if run is not None and number == run[1] + 1:
                run = run[0], number
                continue
            if run is not None:
                yield run
            run = number, number
        if run is not None:
            yield run

    def _is_late(self, number: int) -> bool:
        return number in self._missing or number > self.last or number < (self.first or 0)

    def _skip(self, ids: range) -> None:
        kept = ids[-MISSING_KEPT:]
        if len(kept) < len(ids):
            self._given_up.append((ids[0], kept[0] - 1))
        self._missing |= dict.fromkeys(kept)
