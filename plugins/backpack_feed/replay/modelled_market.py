"""One market as the model of the venue knows it: its row of `/markets`, its book, its trades."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final, Self

from backpack_feed.wire.messages import (
    BookTickerMessage,
    DepthMessage,
    DepthSnapshot,
    TradeMessage,
)

MARKET_TYPES: Final = ("PERP", "IPERP", "DATED", "PREDICTION", "RFQ")
RESTART_IDS: Final = 500
_BIDS: Final = {Decimal("98.95"): Decimal("158.4"), Decimal("98.96"): Decimal("287.31")}
_ASKS: Final = {Decimal("98.97"): Decimal("21.37"), Decimal(99): Decimal("224.18")}

_NEAR: Final = (Decimal(90), Decimal(110))


def market_row(symbol: str, closed: bool = False) -> dict[str, Any]:
    """Return a row of `/markets`: `kPEPE_USDC_PERP` is kPEPE in USDC, a perpetual."""
    stem, _, suffix = symbol.rpartition("_")
    kind = suffix if suffix in MARKET_TYPES else "SPOT"
    base, _, quote = (symbol if kind == "SPOT" else stem).rpartition("_")
    return {
        "symbol": symbol,
        "baseSymbol": base,
        "quoteSymbol": quote,
        "marketType": kind,
        "orderBookState": "Closed" if closed else "Open",
    }


def trade_row(trade: TradeMessage) -> dict[str, Any]:
    """Return a row of `/trades`."""
    return {
        "id": trade.trade_id,
        "price": str(trade.price),
        "quantity": str(trade.quantity),
        "isBuyerMaker": trade.buyer_is_maker,
        "timestamp": trade.engine_time_us // 1_000,
    }


@dataclass
class ModelledBook:
    """The venue's book; a level beyond the other side's best one removes what it crosses."""

    last_update_id: int
    bids: dict[Decimal, Decimal] = field(default_factory=lambda: dict(_BIDS))
    asks: dict[Decimal, Decimal] = field(default_factory=lambda: dict(_ASKS))

    @classmethod
    def of(cls, snapshot: DepthSnapshot) -> Self:
        """Return the book of a recorded snapshot."""
        return cls(snapshot.last_update_id, dict(snapshot.bids), dict(snapshot.asks))

    @classmethod
    def around(cls, last_update_id: int, prices: list[Decimal]) -> Self:
        """Return a book whose spread is where `prices` are: the usual one if they are near it."""
        if not prices or all(_NEAR[0] < price < _NEAR[1] for price in prices):
            return cls(last_update_id)
        low, high = min(prices) / 2, max(prices) * 2
        return cls(last_update_id, {low: Decimal(1)}, {high: Decimal(1)})

    def take(self, delta: DepthMessage) -> None:
        """Follow a delta; one that is a little older is a repeat, a much older one a restart."""
        if 0 <= self.last_update_id - delta.last_id < RESTART_IDS:
            return
        self.last_update_id = delta.last_id
        _apply(self.bids, delta.bids)
        _apply(self.asks, delta.asks)
        best_bid = max((price for price, quantity in delta.bids if quantity), default=None)
        best_ask = min((price for price, quantity in delta.asks if quantity), default=None)
        if best_bid is not None:
            self.asks = {p: q for p, q in self.asks.items() if p > best_bid}
        if best_ask is not None:
            self.bids = {p: q for p, q in self.bids.items() if p < best_ask}

    def quote(self, quote: BookTickerMessage) -> None:
        """Follow a quote: nothing is better than it, and an absent side is empty."""
        self.bids = _from_top(self.bids, quote.bid, quote.bid_size, lambda p, best: p < best)
        self.asks = _from_top(self.asks, quote.ask, quote.ask_size, lambda p, best: p > best)

    def answer(self, time_us: int) -> dict[str, Any]:
        """Return it in the shape of `GET /depth`: both sides ascend."""
        return {
            "asks": [[str(price), str(self.asks[price])] for price in sorted(self.asks)],
            "bids": [[str(price), str(self.bids[price])] for price in sorted(self.bids)],
            "lastUpdateId": str(self.last_update_id),
            "timestamp": time_us,
        }


def _apply(side: dict[Decimal, Decimal], levels: Iterable[tuple[Decimal, Decimal]]) -> None:
    for price, quantity in levels:
        if quantity:
            side[price] = quantity
        else:
            side.pop(price, None)


def _from_top(
    side: dict[Decimal, Decimal],
    best: Decimal | None,
    size: Decimal | None,
    is_behind: Callable[[Decimal, Decimal], bool],
) -> dict[Decimal, Decimal]:
    if best is None or size is None:
        return {}
    return {best: size} | {p: q for p, q in side.items() if is_behind(p, best)}
