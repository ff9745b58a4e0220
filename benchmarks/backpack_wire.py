"""A flow as Backpack sends it (protocol sections 4 and 6): what native, ccxt and floor read."""

from typing import Any, Final

import msgspec

from backpack_sandbox.market.catalog import Market
from backpack_sandbox.rest.listing import asset_body, market_body
from benchmarks.capture import MICROSECONDS, Capture, Stream, framed
from benchmarks.flow import Book, Depth, Flow, Tick

EVENT_SPACING_US: Final = 50
TRANSIT_US: Final = 1_064


class _Writer:
    """Counts every market's ids, as the venue does."""

    def __init__(self, flow: Flow, start_us: int) -> None:
        self._markets = flow.markets
        self._update_ids = [market.first_update_id for market in flow.markets]
        self._trade_ids = [market.first_trade_id for market in flow.markets]
        self._now_us = start_us

    def write(self, event: Depth | Tick) -> bytes:
        self._now_us += EVENT_SPACING_US
        market = self._markets[event.market]
        if isinstance(event, Depth):
            return framed({"data": self._depth(market, event), "stream": f"depth.{market.symbol}"})
        return framed({"data": self._trade(market, event), "stream": f"trade.{market.symbol}"})

    def _depth(self, market: Market, event: Depth) -> dict[str, Any]:
        self._update_ids[event.market] += 1
        update_id = self._update_ids[event.market]
        price, quantity = market.price_grid.padded, market.quantity_grid.padded
        return {
            "E": self._now_us + TRANSIT_US,
            "T": self._now_us,
            "U": update_id,
            "a": [[price(p), quantity(q)] for is_bid, p, q in event.changes if not is_bid],
            "b": [[price(p), quantity(q)] for is_bid, p, q in event.changes if is_bid],
            "e": "depth",
            "s": market.symbol,
            "u": update_id,
        }

    def _trade(self, market: Market, event: Tick) -> dict[str, Any]:
        self._trade_ids[event.market] += 1
        trade_id = self._trade_ids[event.market]
        return {
            "E": self._now_us + TRANSIT_US,
            "T": self._now_us,
            "a": str(market.first_order_id + trade_id),
            "b": str(market.first_order_id + trade_id + 1),
            "e": "trade",
            "m": event.buyer_is_maker,
            "p": market.price_grid.padded(event.price),
            "q": market.quantity_grid.padded(event.quantity),
            "s": market.symbol,
            "t": trade_id,
        }


def backpack_capture(flow: Flow, start_us: int) -> Capture:
    """Write the whole flow; `start_us` is the venue's unix time of the first event."""
    writer = _Writer(flow, start_us)
    primers = {}
    for index, market in enumerate(flow.markets):
        # a level outside the window that is not there: it moves the ids, and the book not at all
        nothing = Depth(index, ((True, 1, 0),))
        tick = Tick(index, max(flow.snapshots[index].bids), 1, buyer_is_maker=True)
        primers[market.symbol] = writer.write(nothing) + writer.write(tick)
    return Capture(
        symbols=[_symbol(market) for market in flow.markets],
        venue_symbols=[market.symbol for market in flow.markets],
        rest=_rest(flow, start_us),
        primers=primers,
        frames=[writer.write(event) for event in flow.events],
        subscribed=_subscribed,
    )


def _symbol(market: Market) -> str:
    """Cryptofeed's name."""
    return "-".join(market.symbol.rsplit("_", 2 if market.market_type == "PERP" else 1))


def _rest(flow: Flow, start_us: int) -> dict[tuple[str, str], bytes]:
    bases = {market.base for market in flow.markets} | {"USDC"}
    bodies: dict[tuple[str, str], Any] = {
        ("/api/v1/markets", ""): [market_body(market) for market in flow.markets],
        ("/api/v1/assets", ""): [asset_body(base) for base in sorted(bases)],
        ("/api/v1/securities", ""): [],
        ("/api/v1/time", ""): start_us // 1_000,
        ("/api/v1/status", ""): {"message": None, "status": "Ok"},
    }
    for market, book in zip(flow.markets, flow.snapshots, strict=True):
        bodies["/api/v1/depth", market.symbol] = _snapshot(market, book, start_us)
        bodies["/api/v1/trades", market.symbol] = []
    return {key: msgspec.json.encode(body) for key, body in bodies.items()}


def _snapshot(market: Market, book: Book, start_us: int) -> dict[str, Any]:
    price, quantity = market.price_grid.normal, market.quantity_grid.normal
    return {
        "asks": [[price(p), quantity(q)] for p, q in sorted(book.asks.items())],
        "bids": [[price(p), quantity(q)] for p, q in sorted(book.bids.items())],
        "lastUpdateId": str(market.first_update_id),
        "timestamp": start_us + MICROSECONDS // 1_000,
    }


def _subscribed(request: bytes) -> list[Stream]:
    message = msgspec.json.decode(request)
    if message.get("method") != "SUBSCRIBE":
        return []
    streams = []
    for name in message["params"]:
        kind, _, symbol = name.partition(".")
        streams.append((kind, symbol))
    return streams
