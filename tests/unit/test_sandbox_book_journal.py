"""The sandbox's journal of books: the truth at any recent id, in bounded memory."""

from backpack_sandbox.market.book import Side
from backpack_sandbox.market.catalog import build_catalog
from backpack_sandbox.market.model import MarketModel
from backpack_sandbox.truth.book_journal import CHAPTER_CHANGES, CHAPTERS_KEPT, BookJournal

SYMBOL = "SOL_USDC"


def market() -> MarketModel:
    return MarketModel(build_catalog()[SYMBOL], seed=5, events_per_second=10, trades_per_second=4)


def test_the_book_of_every_id_is_the_one_that_the_engine_had():
    """Also at the ids within a step that swept several levels."""
    model = market()
    engine = model.engine
    journal = BookJournal({SYMBOL: engine})
    seen = {}
    ids = 0
    for _ in range(3 * CHAPTER_CHANGES):
        before = engine.last_update_id
        journal.note(model.step())
        ids += engine.last_update_id - before
        seen[engine.last_update_id] = engine.book.levels(Side.BID), engine.book.levels(Side.ASK)
    assert ids > len(seen)
    for update_id, book in seen.items():
        assert journal.book(SYMBOL, update_id) == book
    oldest, newest = journal.span(SYMBOL)
    assert newest - oldest == ids
    assert all(journal.book(SYMBOL, update_id) for update_id in range(oldest, newest + 1))
    assert journal.book(SYMBOL, oldest - 1) is None
    assert journal.book(SYMBOL, newest + 1) is None


def test_old_books_are_forgotten():
    """The journal keeps about 10,000 changes of a market."""
    model = market()
    journal = BookJournal({SYMBOL: model.engine})
    first, _ = journal.span(SYMBOL)
    for _ in range(CHAPTER_CHANGES * (CHAPTERS_KEPT + 2)):
        journal.note(model.step())
    oldest, newest = journal.span(SYMBOL)
    assert oldest > first
    assert (
        CHAPTER_CHANGES * (CHAPTERS_KEPT - 2)
        < newest - oldest
        < CHAPTER_CHANGES * (CHAPTERS_KEPT + 2)
    )
    assert journal.book(SYMBOL, newest) == (
        model.engine.book.levels(Side.BID),
        model.engine.book.levels(Side.ASK),
    )
