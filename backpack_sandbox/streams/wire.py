"""Market events to the exact text of the websocket: compact, keys in ASCII order, padded decimals.

Times are integer microseconds: `T` is the engine's, `E` the moment of publication.
"""

from collections.abc import Sequence

import msgspec

from backpack_sandbox.account.order_frames import order_data
from backpack_sandbox.constants import LIQUIDATION, ORDER_UPDATE
from backpack_sandbox.market.book import Level
from backpack_sandbox.market.catalog import Market
from backpack_sandbox.market.events import (
    BookEvent,
    LiquidationEvent,
    OrderEvent,
    TopEvent,
    TradeEvent,
)


class WireEncoder:
    """Frames of one market."""

    def __init__(self, market: Market) -> None:
        self.market = market
        self._symbol = market.symbol
        self._price = market.price_grid.padded
        self._quantity = market.quantity_grid.padded

    def depth(self, event: BookEvent, event_us: int, engine_us: int) -> bytes:
        """`depth.<symbol>`: one update id, so U equals u."""
        update_id = event.update_id
        stream = f"depth.{self._symbol}"
        return self.depth_range(
            stream,
            (update_id, update_id),
            bids=event.bids,
            asks=event.asks,
            event_us=event_us,
            engine_us=engine_us,
        )

    def depth_range(
        self,
        stream: str,
        update_ids: tuple[int, int],
        *,
        bids: Sequence[Level],
        asks: Sequence[Level],
        event_us: int,
        engine_us: int,
    ) -> bytes:
        """A depth frame of any stream name over a range of update ids, both ends included."""
        first_id, last_id = update_ids
        return (
            f'{{"data":{{"E":{event_us},"T":{engine_us},"U":{first_id},'
            f'"a":{self._levels(asks)},"b":{self._levels(bids)},"e":"depth",'
            f'"s":"{self._symbol}","u":{last_id}}},"stream":"{stream}"}}'
        ).encode()

    def trade(self, event: TradeEvent, event_us: int, engine_us: int) -> bytes:
        """`trade.<symbol>`; the engine stamps trades to the millisecond."""
        return (
            f'{{"data":{{"E":{event_us},"T":{engine_us // 1000 * 1000},'
            f'"a":"{event.seller_order_id}","b":"{event.buyer_order_id}","e":"trade",'
            f'"m":{"true" if event.buyer_is_maker else "false"},'
            f'"p":"{self._price(event.price)}","q":"{self._quantity(event.quantity)}",'
            f'"s":"{self._symbol}","t":{event.trade_id}}},"stream":"trade.{self._symbol}"}}'
        ).encode()

    def book_ticker(self, event: TopEvent, event_us: int, engine_us: int) -> bytes:
        """`bookTicker.<symbol>`; price and size are null when a side is empty."""
        ask, ask_size = self._side(event.ask)
        bid, bid_size = self._side(event.bid)
        return (
            f'{{"data":{{"A":{ask_size},"B":{bid_size},"E":{event_us},"T":{engine_us},'
            f'"a":{ask},"b":{bid},"e":"bookTicker","s":"{self._symbol}",'
            f'"u":{event.update_id}}},"stream":"bookTicker.{self._symbol}"}}'
        ).encode()

    def liquidation(
        self, event: LiquidationEvent, event_us: int, engine_us: int
    ) -> tuple[bytes, bytes]:
        """The frame for `liquidation`, of all markets, and the one for `liquidation.<symbol>`."""
        data = (
            f'{{"E":{event_us},"S":"{event.side.value}","T":{engine_us},"e":"liquidation",'
            f'"p":"{self._price(event.price)}","q":"{self._quantity(event.quantity)}",'
            f'"s":"{self._symbol}"}}'
        )
        streams = (LIQUIDATION, f"{LIQUIDATION}.{self._symbol}")
        whole, scoped = (f'{{"data":{data},"stream":"{name}"}}'.encode() for name in streams)
        return whole, scoped

    def order_update(self, event: OrderEvent, event_us: int, engine_us: int) -> tuple[bytes, bytes]:
        """The frame for `account.orderUpdate` and the one for `account.orderUpdate.<symbol>`."""
        data = order_data(self.market, event) | {"E": event_us, "T": engine_us}
        text = msgspec.json.encode(data, order="sorted").decode()
        streams = (ORDER_UPDATE, f"{ORDER_UPDATE}.{self._symbol}")
        whole, scoped = (f'{{"data":{text},"stream":"{name}"}}'.encode() for name in streams)
        return whole, scoped

    def _levels(self, levels: Sequence[Level]) -> str:
        if not levels:
            return "[]"
        price, quantity = self._price, self._quantity
        return "[" + ",".join(f'["{price(p)}","{quantity(q)}"]' for p, q in levels) + "]"

    def _side(self, level: Level | None) -> tuple[str, str]:
        if level is None:
            return "null", "null"
        return f'"{self._price(level[0])}"', f'"{self._quantity(level[1])}"'
