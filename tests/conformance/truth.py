"""What really happened at a venue, in plain decimals: read from the venue itself."""

import json
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from backpack_sandbox import Sandbox
from backpack_sandbox.constants import TRADER

type Levels = dict[Decimal, Decimal]


@dataclass(frozen=True)
class TrueTrade:
    """A trade of the ledger; `side` is the taker's, as ccxt writes it."""

    id: int
    price: Decimal
    quantity: Decimal
    side: str
    time_ms: int


@dataclass(frozen=True)
class TrueBook:
    """The book right after `update_id`."""

    update_id: int
    bids: Levels
    asks: Levels

    @property
    def best_bid(self) -> Decimal:
        return max(self.bids)

    @property
    def best_ask(self) -> Decimal:
        return min(self.asks)


def true_trades(venue: Sandbox, symbol: str) -> list[TrueTrade]:
    """Every trade of the market so far, oldest first."""
    market = venue.catalog[symbol]
    return [
        TrueTrade(
            id=trade.event.trade_id,
            price=market.price_grid.value(trade.event.price),
            quantity=market.quantity_grid.value(trade.event.quantity),
            side="sell" if trade.event.buyer_is_maker else "buy",
            time_ms=trade.engine_us // 1000,
        )
        for trade in venue.ledger.trades(symbol)
    ]


def true_book(venue: Sandbox, symbol: str, update_id: int | None = None) -> TrueBook:
    """The book at an id, default now."""
    wanted = venue.books.span(symbol)[1] if update_id is None else update_id
    book = venue.books.book(symbol, wanted)
    assert book is not None, f"{symbol}: no book at {wanted}, known {venue.books.span(symbol)}"
    market = venue.catalog[symbol]
    bids, asks = (
        {market.price_grid.value(p): market.quantity_grid.value(q) for p, q in side}
        for side in book
    )
    return TrueBook(wanted, bids, asks)


def true_balance(venue: Sandbox, asset: str) -> tuple[Decimal, Decimal]:
    """What the trader has free and locked."""
    balance = venue.accounts[TRADER].balance(asset)
    return balance.available, balance.locked


def published(venue: Sandbox, stream: str, account: str | None = None) -> list[dict[str, Any]]:
    """The payloads that went out on `stream`, oldest first; private ones of one account."""
    venue.ledger.commit()
    frames = (json.loads(line) for line in venue.ledger.path.read_text().splitlines())
    return [
        frame["data"]
        for frame in frames
        if frame.get("stream") == stream and frame.get("account") == account
    ]


def decimal_levels(levels: Any) -> Levels:
    """[[price, quantity], …] of any client: numbers or text, keyed by value."""
    return {Decimal(str(level[0])): Decimal(str(level[1])) for level in levels}
