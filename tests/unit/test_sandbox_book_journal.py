"""The sandbox's journals: the truth at any id since the start, in bounded memory."""

import json
import time

import pytest

from backpack_sandbox.market.events import TradeEvent
from backpack_sandbox.truth.book_journal import CHAPTER_CHANGES
from backpack_sandbox.truth.ledger import Ledger
from backpack_sandbox.truth.ledger_pages import read_page
from backpack_sandbox.truth.market_truth import MarketTruth
from backpack_sandbox.truth.store import TruthStore
from backpack_sandbox.truth.trade_journal import CHAPTER_TRADES, KEPT, PublishedTrade
from tests.support.true_tapes import CATALOG, SYMBOLS, publishing

STEPS = 3 * CHAPTER_CHANGES


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """Two markets over several chapters."""
    with publishing(tmp_path_factory.mktemp("truth"), STEPS) as found:
        yield found


def test_the_book_of_every_id_is_the_one_that_the_engine_had(published):
    """From the first id to the newest, also within a step that swept several levels."""
    journal = published.ledger.books
    for (symbol, update_id), book in published.books.items():
        assert journal.book(symbol, update_id) == book
    for symbol in SYMBOLS:
        oldest, newest = journal.span(symbol)
        assert newest - oldest >= 2 * CHAPTER_CHANGES
        assert all(journal.book(symbol, number) for number in range(oldest, newest, 97))
        assert journal.book(symbol, oldest) is not None
        assert journal.book(symbol, oldest - 1) is None
        assert journal.book(symbol, newest + 1) is None


def test_a_book_costs_less_than_5_ms(published):
    """The typical one: chapters are read from the store."""
    journal = published.ledger.books
    oldest, newest = journal.span(SYMBOLS[0])
    costs = []
    for number in range(oldest, newest, 61):
        started = time.perf_counter()
        journal.book(SYMBOLS[0], number)
        costs.append(time.perf_counter() - started)
    assert sorted(costs)[len(costs) // 2] < 0.005


def test_the_changes_between_two_ids_are_those_published(published):
    """Over the borders of chapters, each id once."""
    journal = published.ledger.books
    symbol = SYMBOLS[0]
    oldest, newest = journal.span(symbol)
    frames = [json.loads(frame)["data"] for frame in published.frames]
    deltas = {d["u"]: d for d in frames if d["e"] == "depth" and d["s"] == symbol}
    market = CATALOG[symbol]
    changes = list(journal.changes(symbol, oldest, newest))
    assert [change.update_id for change in changes] == list(range(oldest + 1, newest + 1))
    for change in changes:
        for levels, key in ((change.bids, "b"), (change.asks, "a")):
            text = [
                [market.price_grid.padded(p), market.quantity_grid.padded(q)] for p, q in levels
            ]
            assert text == deltas[change.update_id][key]
    middle = (oldest + newest) // 2
    few = journal.changes(symbol, middle, middle + 4)
    assert [c.update_id for c in few] == list(range(middle, middle + 5))
    assert list(journal.changes(symbol, newest + 1, newest + 5)) == []


def test_every_trade_can_be_asked_for_from_any_id_and_newest_first(tmp_path):
    """Also those that memory has given up."""
    symbol, first, count = SYMBOLS[0], 700, KEPT + 3 * CHAPTER_TRADES + 10
    trades = [
        PublishedTrade(
            TradeEvent(symbol, number, 9 + number % 5, 3, 40, 41, number % 2 == 0), number
        )
        for number in range(first, first + count)
    ]
    with Ledger(tmp_path / "ledger.jsonl", TruthStore(tmp_path / "truth.sqlite")) as ledger:
        for trade in trades:
            ledger.append_trade(trade, b"{}")
        assert ledger.trades(symbol) == trades
        for start in (0, 1, 999, 1000, 2001, 3010, count - 3, count - 1, count):
            assert ledger.trades(symbol, first + start) == trades[start:]
        assert list(ledger.newest_trades(symbol)) == trades[::-1]
        for offset in (0, 5, count - 50):
            page = list(ledger.newest_trades(symbol, 100, offset))
            assert page == trades[::-1][offset : offset + 100]
        assert ledger.count_trades(symbol, first + count - 3) == 3
        assert ledger.count_trades(symbol, first + count) == 0
        assert ledger.trades("kPEPE_USDC_PERP") == []


def test_a_page_of_frames_is_found_by_its_id_and_goes_on_from_its_place(published):
    """Byte for byte, all of the stream, in the order of the ledger."""
    ledger, symbol = published.ledger, SYMBOLS[1]
    stream = f"depth.{symbol}"
    wanted = [f for f in published.frames if f.endswith(f'"stream":"{stream}"}}'.encode())]
    ids = [json.loads(frame)["data"]["u"] for frame in wanted]
    position = len(ids) // 2
    place = ledger.place_of("depth", symbol, ids[position])
    found = []
    while True:
        page = read_page(
            ledger.path, ledger.size_bytes, stream, place=place, from_id=ids[position], limit=70
        )
        found += page.frames
        assert len(page.frames) <= 70
        place = page.next_place
        assert ledger.is_line_start(place)
        if page.done:
            break
    assert found == wanted[position:]


def test_the_truth_moves_on_change_by_change_as_it_is_asked_for(published):
    """A reader in order gets the same books as one that asks anew each time."""
    symbol = SYMBOLS[0]
    reader = MarketTruth(CATALOG[symbol], published.ledger)
    oldest, newest = published.ledger.books.span(symbol)
    for number in [*range(oldest, oldest + 400), newest, oldest + 7, oldest + 300]:
        fresh = MarketTruth(CATALOG[symbol], published.ledger)
        assert reader.book(number) == fresh.book(number)
