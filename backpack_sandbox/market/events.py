"""What a market does, before it has a wall-clock time or a wire form. All counts are integers.

The events are structs and not dataclasses because a busy venue makes some 20,000 in a second.
"""

from msgspec import Struct

from backpack_sandbox.market.orders import Order
from backpack_sandbox.market.sides import Level, Side


class BookEvent(Struct, frozen=True, gc=False):
    """Levels changed together under one update id; quantities are absolute, 0 deletes."""

    symbol: str
    update_id: int
    bids: tuple[Level, ...]
    asks: tuple[Level, ...]


class TopEvent(Struct, frozen=True, gc=False):
    """The best bid or ask (price or size) is different after `update_id`."""

    symbol: str
    update_id: int
    bid: Level | None
    ask: Level | None


class TradeEvent(Struct, frozen=True, gc=False):
    """One match; `buyer_is_maker` means that the taker sold."""

    symbol: str
    trade_id: int
    price: int
    quantity: int
    buyer_order_id: int
    seller_order_id: int
    buyer_is_maker: bool


class Fill(Struct, frozen=True, gc=False):
    """The match behind an `orderFill`, from the side of the order that it filled."""

    trade_id: int
    price: int
    quantity: int
    is_maker: bool


class OrderEvent(Struct, frozen=True):
    """A change of one order of a named account; `order` is a copy as of the event.

    `kind` is orderAccepted (it rests now), orderFill (with its `fill`), orderModified (the venue
    made its quantity smaller), orderCancelled (by its owner) or orderExpired (by the venue,
    `order.expiry_reason` says why).
    """

    kind: str
    order: Order
    fill: Fill | None

    @property
    def symbol(self) -> str:
        """Of the order's market."""
        return self.order.symbol


class LiquidationEvent(Struct, frozen=True, gc=False):
    """A position was closed by force: `side` is the side of the order that did it.

    Its trades are ordinary ones; `price` is that of the last.
    """

    symbol: str
    side: Side
    price: int
    quantity: int


type MarketEvent = BookEvent | TopEvent | TradeEvent | OrderEvent | LiquidationEvent
