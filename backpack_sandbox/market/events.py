"""What a market does, before it has a wall-clock time or a wire form. All counts are integers."""

from dataclasses import dataclass

from backpack_sandbox.market.book import Level, Side


@dataclass(frozen=True, slots=True)
class BookEvent:
    """Levels changed together under one update id; quantities are absolute, 0 deletes."""

    symbol: str
    update_id: int
    bids: tuple[Level, ...]
    asks: tuple[Level, ...]


@dataclass(frozen=True, slots=True)
class TopEvent:
    """The best bid or ask (price or size) is different after `update_id`."""

    symbol: str
    update_id: int
    bid: Level | None
    ask: Level | None


@dataclass(frozen=True, slots=True)
class TradeEvent:
    """One match; `buyer_is_maker` means that the taker sold."""

    symbol: str
    trade_id: int
    price: int
    quantity: int
    buyer_order_id: int
    seller_order_id: int
    buyer_is_maker: bool


@dataclass(frozen=True, slots=True)
class Fill:
    """The match behind an `orderFill`, from the house account's side."""

    trade_id: int
    price: int
    quantity: int
    is_maker: bool


@dataclass(frozen=True, slots=True)
class OrderEvent:
    """A change of one house order; `price` is None on a market order.

    `executed` is cumulative steps, `executed_notional` its cumulative price×quantity counts.
    """

    symbol: str
    kind: str
    state: str
    order_id: int
    side: Side
    price: int | None
    quantity: int
    executed: int
    executed_notional: int
    fill: Fill | None


@dataclass(frozen=True, slots=True)
class LiquidationEvent:
    """A position was closed by force: `side` is the side of the order that did it.

    Its trades are ordinary ones; `price` is that of the last.
    """

    symbol: str
    side: Side
    price: int
    quantity: int


type MarketEvent = BookEvent | TopEvent | TradeEvent | OrderEvent | LiquidationEvent
