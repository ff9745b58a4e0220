"""Compares books and their changes of one market with the true ones."""

from decimal import Decimal
from typing import Final

from backpack_sandbox.truth.findings import Finding, Findings, Kind
from backpack_sandbox.truth.id_sequence import IdSequence
from backpack_sandbox.truth.levels import compare_books, compare_sides
from backpack_sandbox.truth.market_truth import BookSide, BookSides, MarketTruth
from backpack_sandbox.truth.tape_lines import DepthFrame, Levels, RestBook, TapedBook, TopFrame
from backpack_sandbox.truth.top_checker import TopChecker

TAPED_LEVELS: Final = 10
"""How deep the books of a feed's tape are at least, when the venue has as many levels."""
IDS_PER_FRAME_MAX: Final = 100_000

type BookLine = TapedBook | DepthFrame | RestBook | TopFrame


class BookChecker:
    """Takes every line about the book of one market, in tape order."""

    def __init__(self, name: str, truth: MarketTruth, findings: Findings) -> None:
        self._name = name
        self._truth = truth
        self._findings = findings
        self._ids: dict[str, IdSequence] = {}
        self._replays: dict[str, tuple[int, BookSides]] = {}
        self._snapshot: tuple[int, BookSides] | None = None
        self._taped: tuple[int, object] | None = None
        self._tops = TopChecker(name, truth, findings)

    def take(self, where: str, line: BookLine) -> None:
        """Compare the next line."""
        match line:
            case TapedBook():
                self._taped_book(where, line)
            case DepthFrame():
                self._depth(where, line)
            case RestBook():
                self._rest_book(where, line)
            case TopFrame():
                self._top(where, line)

    def end(self) -> None:
        """Find the updates that never came."""
        self._tops.end()
        for stream, ids in self._ids.items():
            for first, last in ids.holes():
                detail = f"{stream}: {_updates(first, last)} never came"
                self._find(Kind.MISSING, self._name, first, detail, last - first + 1)

    def _taped_book(self, where: str, line: TapedBook) -> None:
        last, self._taped = self._taped, (line.sequence, line.stamp)
        if last is not None and self._taped == last:
            self._find(Kind.REPEATED, where, line.sequence, "the same book was written before")
        elif last is not None and line.sequence < last[0]:
            self._find(Kind.OUT_OF_ORDER, where, line.sequence, f"book came after {last[0]}")
        self._findings.books += 1
        truth = self._known(where, line.sequence)
        if truth is None:
            return
        for name, levels, want in (
            ("bid", line.bids, _best(truth.bids, len(line.bids), bids=True)),
            ("ask", line.asks, _best(truth.asks, len(line.asks), bids=False)),
        ):
            self._same_side(where, line.sequence, name, dict(levels), dict(want))
            if dict(levels) == dict(want) and list(levels) != list(want):
                detail = f"{name} levels are not in their order"
                self._find(Kind.WRONG_LEVELS, where, line.sequence, detail)

    def _rest_book(self, where: str, line: RestBook) -> None:
        self._findings.books += 1
        truth = self._known(where, line.last_id)
        if truth is not None:
            want = BookSides(
                dict(_best(truth.bids, line.limit, bids=True, least=0)),
                dict(_best(truth.asks, line.limit, bids=False, least=0)),
            )
            self._same(where, line.last_id, line.book, want)
            if not all(list(side) == sorted(side) for _, side in line.book.both()):
                detail = "levels are not ascending on both sides"
                self._find(Kind.WRONG_LEVELS, where, line.last_id, detail)
        self._replays.clear()
        whole = max(len(line.book.bids), len(line.book.asks)) < line.limit
        self._snapshot = (line.last_id, line.book) if whole else None

    def _depth(self, where: str, line: DepthFrame) -> None:
        self._findings.frames += 1
        published = None
        if 0 <= line.last_id - line.first_id < IDS_PER_FRAME_MAX:
            published = self._truth.change(line.first_id, line.last_id)
        if published is None:
            detail = f"the venue published no {_updates(line.first_id, line.last_id)}"
            self._find(Kind.INVENTED, where, line.last_id, detail)
            return
        kind = self._ids.setdefault(line.stream, IdSequence()).take(line.first_id, line.last_id)
        if kind is not None:
            last = self._ids[line.stream].last
            self._find(kind, where, line.last_id, f"depth update came after {last}")
        if not _is_same(line, published):
            detail = (
                f"the frame's levels are not those published; {_differ(line.change, published)}"
            )
            self._find(Kind.ALTERED, where, line.last_id, detail)
        self._replay(where, line)

    def _replay(self, where: str, line: DepthFrame) -> None:
        """Over the last snapshot, as a client does; after a hole there is no book any more."""
        if line.stream not in self._replays:
            if self._snapshot is None:
                return
            last, book = self._snapshot
            self._replays[line.stream] = last, BookSides(dict(book.bids), dict(book.asks))
        last, book = self._replays[line.stream]
        if line.last_id <= last or line.first_id > last + 1:
            return
        book.apply(line.change)
        self._replays[line.stream] = line.last_id, book
        self._findings.books += 1
        truth = self._truth.book(line.last_id)
        if truth is not None and truth != book:
            self._same(where, line.last_id, book, truth)
            # what is wrong is told once, at the id where it began
            self._replays[line.stream] = line.last_id, BookSides(dict(truth.bids), dict(truth.asks))
        elif truth is not None:
            self._findings.levels += len(truth.bids) + len(truth.asks)

    def _top(self, where: str, line: TopFrame) -> None:
        self._findings.frames += 1
        truth = self._known(where, line.update_id)
        if truth is not None:
            self._tops.take(where, line, truth)

    def _known(self, where: str, update_id: int) -> BookSides | None:
        truth = self._truth.book(update_id)
        if truth is None:
            detail = "the venue never had a book of this id"
            self._find(Kind.INVENTED, where, update_id, detail)
        return truth

    def _same(self, where: str, update_id: int, got: BookSides, want: BookSides) -> None:
        compare_books(self._findings, (where, self._truth.symbol, update_id), got, want)

    def _same_side(
        self, where: str, update_id: int, name: str, got: BookSide, want: BookSide
    ) -> None:
        place = where, self._truth.symbol, update_id
        compare_sides(self._findings, place, name, got, want)

    def _find(self, kind: Kind, where: str, number: int, detail: str, count: int = 1) -> None:
        self._findings.add(Finding(kind, where, self._truth.symbol, number, detail), count)


def _updates(first: int, last: int) -> str:
    return f"update {first}" if first == last else f"updates {first} to {last}"


def _best(side: BookSide, count: int, *, bids: bool, least: int = TAPED_LEVELS) -> Levels:
    """The best levels, best first: `count`, or `least` when that is more."""
    return sorted(side.items(), reverse=bids)[: max(count, least)]


def _is_same(line: DepthFrame, published: BookSides) -> bool:
    """A frame of one update has its levels in the order that was published, a window in any."""
    if line.first_id != line.last_id:
        return line.change == published and line.is_window
    pairs = zip(line.change.both(), published.both(), strict=True)
    return all(list(got.items()) == list(want.items()) for (_, got), (_, want) in pairs)


def _differ(got: BookSides, want: BookSides) -> str:
    for (name, side), (_, true_side) in zip(got.both(), want.both(), strict=True):
        for price in sorted(side.keys() | true_side.keys()):
            if side.get(price) != true_side.get(price):
                return f"{name} at {price}: {_text(side, price)}, was {_text(true_side, price)}"
    return "another order of the levels, or updates in one frame that were several"


def _text(side: BookSide, price: Decimal) -> str:
    return "nothing" if price not in side else str(side[price])
