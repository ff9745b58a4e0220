"""The same flow as Gate's spot streams, for cryptofeed's own `Gate` feed.

Every frame carries what Backpack's frame carries: the same levels and trades at the same prices
and quantities, one update id per change.
"""

from typing import Any, Final

import msgspec

from backpack_sandbox.market.catalog import Market
from benchmarks.backpack_wire import EVENT_SPACING_US
from benchmarks.capture import MICROSECONDS, Capture, Stream, framed
from benchmarks.flow import Book, Depth, Flow, Tick

KINDS: Final = {"spot.order_book_update": "depth", "spot.trades": "trade"}


class _Writer:
    def __init__(self, flow: Flow, start_us: int) -> None:
        self._markets = flow.markets
        self._update_ids = [market.first_update_id for market in flow.markets]
        self._trade_ids = [market.first_trade_id for market in flow.markets]
        self._now_us = start_us

    def write(self, event: Depth | Tick) -> bytes:
        self._now_us += EVENT_SPACING_US
        market = self._markets[event.market]
        if isinstance(event, Depth):
            channel, result = "spot.order_book_update", self._depth(market, event)
        else:
            channel, result = "spot.trades", self._trade(market, event)
        return framed(
            {
                "time": self._now_us // MICROSECONDS,
                "time_ms": self._now_us // 1_000,
                "channel": channel,
                "event": "update",
                "result": result,
            }
        )

    def _depth(self, market: Market, event: Depth) -> dict[str, Any]:
        self._update_ids[event.market] += 1
        update_id = self._update_ids[event.market]
        price, quantity = market.price_grid.padded, market.quantity_grid.padded
        return {
            "t": self._now_us // 1_000,
            "e": "depthUpdate",
            "E": self._now_us // MICROSECONDS,
            "s": pair(market),
            "U": update_id,
            "u": update_id,
            "b": [[price(p), quantity(q)] for is_bid, p, q in event.changes if is_bid],
            "a": [[price(p), quantity(q)] for is_bid, p, q in event.changes if not is_bid],
        }

    def _trade(self, market: Market, event: Tick) -> dict[str, Any]:
        self._trade_ids[event.market] += 1
        return {
            "id": self._trade_ids[event.market],
            "create_time": self._now_us // MICROSECONDS,
            "create_time_ms": f"{self._now_us / 1_000:.4f}",
            "side": "sell" if event.buyer_is_maker else "buy",
            "currency_pair": pair(market),
            "amount": market.quantity_grid.padded(event.quantity),
            "price": market.price_grid.padded(event.price),
        }


def pair(market: Market) -> str:
    """Name the market as a spot pair; perpetuals get a base of their own."""
    suffix = "PERP" if market.market_type == "PERP" else ""
    return f"{market.base}{suffix}_{market.quote}"


def gate_capture(flow: Flow, start_us: int) -> Capture:
    """Write the whole flow; `start_us` is the venue's unix time of the first event."""
    writer = _Writer(flow, start_us)
    primers = {}
    for index, market in enumerate(flow.markets):
        # a level outside the window that is not there: it moves the ids, and the book not at all
        nothing = Depth(index, ((True, 1, 0),))
        tick = Tick(index, max(flow.snapshots[index].bids), 1, buyer_is_maker=True)
        primers[pair(market)] = writer.write(nothing) + writer.write(tick)
    return Capture(
        symbols=[pair(market).replace("_", "-") for market in flow.markets],
        venue_symbols=[pair(market) for market in flow.markets],
        rest=_rest(flow),
        primers=primers,
        frames=[writer.write(event) for event in flow.events],
        subscribed=_subscribed,
    )


def _rest(flow: Flow) -> dict[tuple[str, str], bytes]:
    rows = [
        {
            "id": pair(market),
            "base": pair(market).partition("_")[0],
            "quote": market.quote,
            "trade_status": "tradable",
        }
        for market in flow.markets
    ]
    bodies = {("/api/v4/spot/currency_pairs", ""): msgspec.json.encode(rows)}
    for market, book in zip(flow.markets, flow.snapshots, strict=True):
        snapshot = msgspec.json.encode(_snapshot(market, book))
        bodies["/api/v4/spot/order_book", pair(market)] = snapshot
    return bodies


def _snapshot(market: Market, book: Book) -> dict[str, Any]:
    price, quantity = market.price_grid.padded, market.quantity_grid.padded
    return {
        "id": market.first_update_id,
        "asks": [[price(p), quantity(q)] for p, q in sorted(book.asks.items())],
        "bids": [[price(p), quantity(q)] for p, q in sorted(book.bids.items(), reverse=True)],
    }


def _subscribed(request: bytes) -> list[Stream]:
    message = msgspec.json.decode(request)
    kind, payload = KINDS.get(message["channel"]), message["payload"]
    if message["event"] != "subscribe" or kind is None:
        return []
    pairs = payload[:1] if kind == "depth" else payload  # a book's second word is its window
    return [(kind, symbol) for symbol in pairs]
