"""What the markets of a session counted for themselves, brought into the feed's counters."""

from cryptofeed.defines import L2_BOOK, TRADES

from backpack_feed.counters import FeedCounters
from backpack_feed.native.depth_streams import DepthStreams
from backpack_feed.native.trade_streams import TradeStreams


def collect_markets(
    counters: FeedCounters, depth: DepthStreams, trades: TradeStreams, unix_ahead: float
) -> None:
    """Bring in frames and trades per market; `unix_ahead` is unix minus monotonic seconds."""
    for channel, markets in (
        (L2_BOOK, depth.markets.values()),
        (TRADES, trades.markets.values()),
    ):
        frames = sum(market.frames for market in markets)
        if frames:
            counters.messages[channel] = frames
        for market in markets:
            if market.frames:
                known = counters.last_message_timestamp.get(market.symbol, 0.0)
                newest = max(known, market.heard_at + unix_ahead)
                counters.last_message_timestamp[market.symbol] = newest
    counters.sequence_overlaps = sum(market.overlaps for market in depth.markets.values())
    counters.future_timestamps = sum(market.future for market in trades.markets.values())
    for trade_market in trades.markets.values():
        counters.trades[trade_market.symbol] = trade_market.delivered
