"""What the markets of a session counted for themselves, brought into the feed's counters."""

from cryptofeed.defines import L2_BOOK, TRADES

from backpack_feed.counters import FeedCounters
from backpack_feed.native.depth_streams import DepthStreams
from backpack_feed.native.trade_streams import TradeStreams


def collect_markets(counters: FeedCounters, depth: DepthStreams, trades: TradeStreams) -> None:
    """Bring in frames and trades per market."""
    for channel, markets in (
        (L2_BOOK, depth.markets.values()),
        (TRADES, trades.markets.values()),
    ):
        frames = sum(market.frames for market in markets)
        if frames:
            counters.messages[channel] = frames
        for market in markets:
            if market.frames:
                known = counters.heard_at.get(market.symbol, market.heard_at)
                counters.heard_at[market.symbol] = max(known, market.heard_at)
    counters.sequence_overlaps = sum(market.overlaps for market in depth.markets.values())
    counters.future_timestamps = sum(market.future for market in trades.markets.values())
    for trade_market in trades.markets.values():
        counters.trades[trade_market.symbol] = trade_market.delivered
