"""The true book at any recent update id: whole books now and then, and every change between."""

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from backpack_sandbox.market.book import Level, Side
from backpack_sandbox.market.events import BookEvent, MarketEvent
from backpack_sandbox.market.matching import MatchingEngine

CHAPTER_CHANGES: Final = 200
CHAPTERS_KEPT: Final = 50
"""With `CHAPTER_CHANGES` this bounds the memory: about 10,000 changes of each market."""

type Book = tuple[list[Level], list[Level]]
"""(bids, asks), each ascending by price."""


@dataclass(slots=True)
class _Chapter:
    """The whole book at `first_id`, and the changes with the ids after it."""

    first_id: int
    bids: list[Level]
    asks: list[Level]
    changes: list[BookEvent] = field(default_factory=list)


class BookJournal:
    """Notes every book change of every market; the newest `CHAPTERS_KEPT` chapters are kept."""

    def __init__(self, engines: Mapping[str, MatchingEngine]) -> None:
        self._engines = engines
        self._chapters = {
            symbol: deque([_chapter(engine)], CHAPTERS_KEPT) for symbol, engine in engines.items()
        }

    def note(self, events: Sequence[MarketEvent]) -> None:
        """Take the events of one step, right after the engine made them."""
        chapters = self._chapters[events[0].symbol]
        changes = chapters[-1].changes
        changes.extend(event for event in events if isinstance(event, BookEvent))
        if len(changes) >= CHAPTER_CHANGES:
            # only now, between two steps, is the engine's book the one at its last id
            chapters.append(_chapter(self._engines[events[0].symbol]))

    def span(self, symbol: str) -> tuple[int, int]:
        """The oldest and the newest update id whose book is known."""
        chapters = self._chapters[symbol]
        return chapters[0].first_id, chapters[-1].first_id + len(chapters[-1].changes)

    def book(self, symbol: str, update_id: int) -> Book | None:
        """The whole book right after `update_id`; None outside `span`."""
        oldest, newest = self.span(symbol)
        if not oldest <= update_id <= newest:
            return None
        chapter = next(c for c in reversed(self._chapters[symbol]) if c.first_id <= update_id)
        sides = {Side.BID: dict(chapter.bids), Side.ASK: dict(chapter.asks)}
        for change in chapter.changes[: update_id - chapter.first_id]:
            sides[Side.BID].update(change.bids)
            sides[Side.ASK].update(change.asks)
        bids, asks = (
            sorted((price, quantity) for price, quantity in side.items() if quantity)
            for side in sides.values()
        )
        return bids, asks


def _chapter(engine: MatchingEngine) -> _Chapter:
    book = engine.book
    return _Chapter(engine.last_update_id, book.levels(Side.BID), book.levels(Side.ASK))
