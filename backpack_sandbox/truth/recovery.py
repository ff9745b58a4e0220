"""Read a ledger back: a restarted venue carries on with its books and never reuses an id."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from backpack_sandbox.account.portfolio import Portfolio
from backpack_sandbox.constants import ORDER_UPDATE
from backpack_sandbox.errors import SandboxError
from backpack_sandbox.market.book import Level, Side
from backpack_sandbox.market.catalog import Market
from backpack_sandbox.market.decimals import Grid
from backpack_sandbox.market.events import Fill, OrderEvent, TradeEvent
from backpack_sandbox.market.house import HouseOrder
from backpack_sandbox.market.matching import MarketState, MatchingEngine
from backpack_sandbox.truth.ledger import PublishedTrade


@dataclass(slots=True)
class Recovered:
    """What a ledger says: where each market and the house account stand, and all trades."""

    portfolio: Portfolio
    states: dict[str, MarketState] = field(default_factory=dict)
    trades: dict[str, list[PublishedTrade]] = field(default_factory=dict)


@dataclass(slots=True)
class _MarketFold:
    market: Market
    bids: dict[int, int] = field(default_factory=dict)
    asks: dict[int, int] = field(default_factory=dict)
    update_id: int = 0
    trade_id: int = 0
    order_id: int = 0
    orders: dict[int, HouseOrder] = field(default_factory=dict)

    def begin(self, book: Mapping[str, Any]) -> None:
        self.bids = dict(_levels(self.market, book["bids"]))
        self.asks = dict(_levels(self.market, book["asks"]))
        self.update_id = book["lastUpdateId"]
        self.trade_id = book["lastTradeId"]
        self.order_id = book["lastOrderId"]

    def depth(self, data: Mapping[str, Any]) -> None:
        for side, levels in ((self.bids, data["b"]), (self.asks, data["a"])):
            for price, quantity in _levels(self.market, levels):
                if quantity:
                    side[price] = quantity
                else:
                    side.pop(price, None)
        self.update_id = data["u"]

    def trade(self, data: Mapping[str, Any]) -> PublishedTrade:
        self.trade_id = data["t"]
        self.order_id = max(self.order_id, int(data["a"]), int(data["b"]))
        return PublishedTrade(
            TradeEvent(
                symbol=self.market.symbol,
                trade_id=data["t"],
                price=self.market.price_grid.count(data["p"]),
                quantity=self.market.quantity_grid.count(data["q"]),
                buyer_order_id=int(data["b"]),
                seller_order_id=int(data["a"]),
                buyer_is_maker=data["m"],
            ),
            data["T"],
        )

    def order(self, data: Mapping[str, Any]) -> OrderEvent:
        event = _order_event(self.market, data)
        self.order_id = max(self.order_id, event.order_id)
        if event.state in {"Cancelled", "Filled"} or event.price is None:
            self.orders.pop(event.order_id, None)
            return event
        self.orders[event.order_id] = HouseOrder(
            symbol=self.market.symbol,
            order_id=event.order_id,
            side=event.side,
            price=event.price,
            quantity=event.quantity,
            executed=event.executed,
            executed_notional=event.executed_notional,
        )
        return event

    def state(self) -> MarketState:
        return MarketState(
            bids=sorted(self.bids.items()),
            asks=sorted(self.asks.items()),
            last_update_id=self.update_id,
            last_trade_id=self.trade_id,
            last_order_id=self.order_id,
            orders=tuple(self.orders.values()),
        )


def recover(path: Path, catalog: Mapping[str, Market]) -> Recovered:
    """Fold the ledger at `path`; nothing when there is none. A torn last line is cut off.

    Raises SandboxError with the line that is no ledger's.
    """
    recovered = Recovered(Portfolio(catalog))
    if not path.exists():
        return recovered
    cut_torn_line(path)
    folds: dict[str, _MarketFold] = {}
    with path.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            try:
                _fold_line(msgspec.json.decode(line), folds, catalog, recovered)
            except (msgspec.DecodeError, KeyError, TypeError, AttributeError) as error:
                raise SandboxError(
                    f"{path}:{number}: not a line of a ledger; move the file away to start afresh"
                ) from error
    recovered.states = {symbol: fold.state() for symbol, fold in folds.items()}
    return recovered


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


def _fold_line(
    line: Mapping[str, Any],
    folds: dict[str, _MarketFold],
    catalog: Mapping[str, Market],
    recovered: Recovered,
) -> None:
    if session := line.get("session"):
        for symbol, book in session["books"].items():
            folds.setdefault(symbol, _MarketFold(catalog[symbol])).begin(book)
        return
    data, stream = line["data"], line["stream"]
    fold = folds[data["s"]]
    if stream.startswith("depth."):
        fold.depth(data)
    elif stream.startswith("trade."):
        recovered.trades.setdefault(data["s"], []).append(fold.trade(data))
    elif stream == ORDER_UPDATE:
        recovered.portfolio.apply(fold.order(data))


def _order_event(market: Market, data: Mapping[str, Any]) -> OrderEvent:
    """The event that gave the frame; a frame without a price is a market order's."""
    price, quantity = market.price_grid, market.quantity_grid
    fill = None
    if data["t"] is not None:
        size = quantity.count(data["l"])
        fill = Fill(data["t"], price.count(data["L"]), size, is_maker=data["m"])
    return OrderEvent(
        symbol=market.symbol,
        kind=data["e"],
        state=data["X"],
        order_id=int(data["i"]),
        side=Side(data["S"]),
        price=price.count(data["p"]) if "p" in data else None,
        quantity=quantity.count(data["q"]),
        executed=quantity.count(data["z"]),
        executed_notional=_notional_counts(data["Z"], price, quantity),
        fill=fill,
    )


def _levels(market: Market, levels: Any) -> list[Level]:
    price, quantity = market.price_grid, market.quantity_grid
    return [(price.count(p), quantity.count(q)) for p, q in levels]


def _text_levels(market: Market, levels: Any) -> list[tuple[str, str]]:
    return [
        (market.price_grid.padded(price), market.quantity_grid.padded(quantity))
        for price, quantity in levels
    ]


def _notional_counts(text: str, price: Grid, quantity: Grid) -> int:
    return Grid(str(price.unit * quantity.unit)).count(text)
