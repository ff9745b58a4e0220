"""What the venue published, in the words of cryptofeed."""

from decimal import Decimal

from backpack_sandbox import Sandbox
from backpack_sandbox.market.matching import MatchingEngine
from tests.chaos.checker import Side, TradeRow


class Truth:
    """The venue's own ledger and journal of books; symbols are cryptofeed's."""

    def __init__(self, venue: Sandbox) -> None:
        self._venue = venue

    def last_trade_id(self, symbol: str) -> int:
        """The newest trade id."""
        return self._engine(symbol).last_trade_id

    def last_update_id(self, symbol: str) -> int:
        """The newest id of the book."""
        return self._engine(symbol).last_update_id

    def trades(self, symbol: str) -> list[TradeRow]:
        """Every trade, oldest first."""
        market = self._engine(symbol).market
        price, quantity = market.price_grid.value, market.quantity_grid.value
        return [
            (
                trade.event.trade_id,
                "sell" if trade.event.buyer_is_maker else "buy",
                price(trade.event.price),
                quantity(trade.event.quantity),
                trade.engine_us / 1_000_000,
            )
            for trade in self._venue.ledger.trades(market.symbol)
        ]

    def book(self, symbol: str, update_id: int, depth: int = 0) -> tuple[Side, Side] | None:
        """(bids, asks) right after `update_id`, cut to the best `depth` levels; 0 means all."""
        market = self._engine(symbol).market
        found = self._venue.books.book(market.symbol, update_id)
        if found is None:
            return None
        bids, asks = found
        if depth:
            bids, asks = bids[-depth:], asks[:depth]
        price, quantity = market.price_grid.value, market.quantity_grid.value
        sides: list[dict[Decimal, Decimal]] = [
            {price(p): quantity(q) for p, q in levels} for levels in (bids, asks)
        ]
        return sides[0], sides[1]

    def _engine(self, symbol: str) -> MatchingEngine:
        return self._venue.exchange.engines[symbol.replace("-", "_")]
