"""Read a ledger back: a restarted venue carries on with its books and never reuses an id."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import msgspec

from backpack_sandbox.account.accounts import Accounts
from backpack_sandbox.account.funding import FUNDING_LINES, read_funding
from backpack_sandbox.account.history import OrderHistory
from backpack_sandbox.account.order_frames import read_order_event
from backpack_sandbox.constants import HOUSE, ORDER_UPDATE
from backpack_sandbox.errors import SandboxError
from backpack_sandbox.market.book import Level
from backpack_sandbox.market.catalog import Market
from backpack_sandbox.market.events import BookEvent
from backpack_sandbox.market.matching import MarketState, MatchingEngine
from backpack_sandbox.truth.market_fold import MarketFold
from backpack_sandbox.truth.trade_journal import PublishedTrade

BOOK_TICKER: Final = b'"stream":"bookTicker.'
STREAM_BYTES_MAX: Final = 80
"""More than the longest `"stream":"…"}` of a public stream with its newline."""


@dataclass(slots=True)
class Recovered:
    """What a ledger says: where each market and the accounts stand, and the trades folded here.

    `engine_us` is the newest engine time of any line.
    """

    accounts: Accounts
    history: OrderHistory
    states: dict[str, MarketState] = field(default_factory=dict)
    trades: dict[str, list[PublishedTrade]] = field(default_factory=dict)
    engine_us: int = 0


type OnDepth = Callable[[BookEvent], None]
type OnTrade = Callable[[PublishedTrade], None]
type OnSession = Callable[[str, list[Level], list[Level], int], None]
"""Takes (symbol, bids, asks, last update id) of a book that a session started from."""


class LedgerFold:
    """Takes a ledger line by line, from the start or from where `start` stands.

    `on_depth`, `on_trade` and `on_session` hear of each book change, trade and first book.
    """

    def __init__(
        self,
        catalog: Mapping[str, Market],
        start: Recovered | None = None,
        *,
        on_depth: OnDepth | None = None,
        on_trade: OnTrade | None = None,
        on_session: OnSession | None = None,
    ) -> None:
        accounts = Accounts(catalog) if start is None else start.accounts
        states = {} if start is None else start.states
        self._catalog = catalog
        self._accounts = accounts
        self._folds = {s: MarketFold(catalog[s], state) for s, state in states.items()}
        self._trades: dict[str, list[PublishedTrade]] = {}
        self._on_depth = on_depth
        self._on_trade = on_trade
        self._on_session = on_session
        self._last_us = 0 if start is None else start.engine_us

    def take(self, line: bytes) -> None:
        """Fold one line.

        Raises DecodeError, KeyError, TypeError, AttributeError or ValueError for one that is no
        ledger's, SandboxError for one of markets that the catalogue has not.
        """
        if BOOK_TICKER in line[-STREAM_BYTES_MAX:]:
            return
        try:
            self._take(line)
        except ArithmeticError as error:
            raise ValueError("a figure is no decimal") from error

    def recovered(self) -> Recovered:
        """Where everything stands after the lines so far."""
        self._repair()
        return Recovered(
            accounts=self._accounts,
            history=self._accounts.history,
            states={symbol: fold.state() for symbol, fold in self._folds.items()},
            trades=self._trades,
            engine_us=self._last_us,
        )

    def _take(self, line: bytes) -> None:
        content = msgspec.json.decode(line)
        if session := content.get("session"):
            self._begin(session["books"])
            return
        data, stream = content["data"], content["stream"]
        fold = self._folds[data["s"]]
        self._last_us = max(self._last_us, data["T"])
        if stream.startswith("depth."):
            self._depth(fold, data)
        elif stream.startswith("trade."):
            self._trade(fold, data)
        elif stream in {ORDER_UPDATE, FUNDING_LINES}:
            self._account(fold, stream, content)

    def _begin(self, books: Mapping[str, Any]) -> None:
        self._repair()
        if unknown := sorted(books.keys() - self._catalog.keys()):
            raise SandboxError(
                f"the ledger has {len(unknown)} markets that are not listed, {unknown[0]} for one;"
                " start the venue with the --profile that the state directory was made with"
            )
        for symbol, book in books.items():
            fold = self._folds.setdefault(symbol, MarketFold(self._catalog[symbol]))
            fold.begin(book)
            if self._on_session:
                bids, asks = (sorted(side.items()) for side in (fold.bids, fold.asks))
                self._on_session(symbol, bids, asks, fold.update_id)

    def _depth(self, fold: MarketFold, data: Mapping[str, Any]) -> None:
        event = fold.depth(data)
        if self._on_depth:
            self._on_depth(event)

    def _trade(self, fold: MarketFold, data: Mapping[str, Any]) -> None:
        trade = fold.trade(data)
        if self._on_trade:
            self._on_trade(trade)
        else:
            self._trades.setdefault(data["s"], []).append(trade)

    def _account(self, fold: MarketFold, stream: str, content: Mapping[str, Any]) -> None:
        """A ledger from the time of one account names none: it was the house's."""
        data, account = content["data"], content.get("account", HOUSE)
        if stream == FUNDING_LINES:
            self._accounts.pay_funding(account, read_funding(data))
            return
        event = read_order_event(fold.market, data, account)
        fold.order(event)
        self._accounts.apply(event, data["T"])

    def _repair(self) -> None:
        """End the open orders that the book does not hold.

        Only a write that a kill or a full disk tore leaves such: its depth line is there and its
        order line is not. Nobody saw either of them, for frames leave after the write.
        """
        for fold in self._folds.values():
            for event in fold.end_orphans():
                self._accounts.apply(event, self._last_us)


def recover(path: Path, catalog: Mapping[str, Market]) -> Recovered:
    """Fold the whole ledger at `path`; nothing when there is none. A torn last line is cut off.

    Raises SandboxError with the line that is no ledger's.
    """
    fold = LedgerFold(catalog)
    if not path.exists():
        return fold.recovered()
    cut_torn_line(path)
    with path.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            try:
                fold.take(line)
            except (KeyError, TypeError, AttributeError, ValueError) as error:
                raise SandboxError(
                    f"{path}:{number}: not a line of a ledger; move the file away to start afresh"
                ) from error
    return fold.recovered()


def first_seed(path: Path) -> int | None:
    """The seed of the first session of the ledger at `path`; None when it tells none."""
    with path.open("rb") as lines:
        try:
            return int(msgspec.json.decode(lines.readline())["session"]["seed"])
        except (KeyError, TypeError, ValueError):
            return None


def cut_torn_line(path: Path) -> None:
    """Drop the bytes after the last newline: a write that a power cut or full disk tore."""
    with path.open("r+b") as file:
        content_end = file.seek(0, 2)
        block = 65536
        start = content_end
        while start > 0:
            start = max(0, start - block)
            file.seek(start)
            newline = file.read(block).rfind(b"\n")
            if newline >= 0:
                file.truncate(start + newline + 1)
                return
        file.truncate(0)


def session_books(catalog: Mapping[str, Market], engines: Mapping[str, MatchingEngine]) -> Any:
    """The books and ids that a session starts from, as `Recovered` reads them back."""
    return {
        symbol: {
            "bids": _text_levels(catalog[symbol], state.bids),
            "asks": _text_levels(catalog[symbol], state.asks),
            "lastUpdateId": state.last_update_id,
            "lastTradeId": state.last_trade_id,
            "lastOrderId": state.last_order_id,
        }
        for symbol, state in ((s, engine.state()) for s, engine in engines.items())
    }


def _text_levels(market: Market, levels: Any) -> list[tuple[str, str]]:
    return [
        (market.price_grid.padded(price), market.quantity_grid.padded(quantity))
        for price, quantity in levels
    ]
