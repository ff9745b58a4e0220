"""Market data messages → cryptofeed's types (protocol section 9). Pure.

Times are unix seconds. What a message does not hold is left out, never guessed: the functions
return None for a quote with an empty side, a candle without trades, a mark price without a rate.
"""

from datetime import UTC, datetime
from typing import Final

from cryptofeed.defines import BUY, SELL
from cryptofeed.types import (
    Candle,
    Funding,
    Index,
    L1Book,
    Liquidation,
    OpenInterest,
    Ticker,
    Trade,
)

from backpack_feed.constants import BACKFILL, EXCHANGE, MICROSECONDS, MILLISECONDS
from backpack_feed.wire.messages import (
    BookTickerMessage,
    KlineMessage,
    LiquidationMessage,
    MarkPriceMessage,
    OpenInterestMessage,
    RestKline,
    TradeMessage,
)

_SIDES: Final = {"Bid": BUY, "Ask": SELL}


def to_trade(message: TradeMessage, symbol: str, *, backfilled: bool = False) -> Trade:
    """Return cryptofeed's Trade named `symbol`; the side is the taker's, the time unix seconds.

    The type of a trade that came from REST is `BACKFILL`.
    """
    return Trade(
        EXCHANGE,
        symbol,
        SELL if message.buyer_is_maker else BUY,
        message.quantity,
        message.price,
        message.engine_time_us / MICROSECONDS,
        id=None if message.trade_id is None else str(message.trade_id),
        type=BACKFILL if backfilled else None,
    )


def to_ticker(message: BookTickerMessage, symbol: str) -> Ticker | None:
    """Return the best prices, or None while a side is empty.

    cryptofeed's Ticker has no empty side: its `to_dict` fails on one, and a zero or the price of
    before would be a quote that nobody made.
    """
    if message.bid is None or message.ask is None:
        return None
    return Ticker(EXCHANGE, symbol, message.bid, message.ask, message.engine_time_us / MICROSECONDS)


def to_l1_book(message: BookTickerMessage, symbol: str) -> L1Book | None:
    """Return the best prices and sizes, or None while a side is empty, as `to_ticker` does."""
    if (
        message.bid is None
        or message.bid_size is None
        or message.ask is None
        or message.ask_size is None
    ):
        return None
    return L1Book(
        EXCHANGE,
        symbol,
        message.bid,
        message.bid_size,
        message.ask,
        message.ask_size,
        message.engine_time_us / MICROSECONDS,
    )


def to_candle(message: KlineMessage, symbol: str, interval: str) -> Candle | None:
    """Return the candle of cryptofeed's `interval`, or None when nothing was traded in it.

    `stop` is exclusive; `timestamp` is when the venue sent it.
    """
    opened, high, low, close = message.open, message.high, message.low, message.close
    if opened is None or high is None or low is None or close is None:
        return None
    return Candle(
        EXCHANGE,
        symbol,
        unix_seconds(message.start),
        unix_seconds(message.stop),
        interval,
        message.trades,
        opened,
        close,
        high,
        low,
        message.volume,
        message.closed,
        message.event_time_us / MICROSECONDS,
    )


def to_past_candle(row: RestKline, symbol: str, interval: str) -> Candle | None:
    """Return a closed candle of REST, or None when nothing was traded in it.

    It has no `timestamp`: REST does not say when the venue closed it.
    """
    opened, high, low, close = row.open, row.high, row.low, row.close
    if opened is None or high is None or low is None or close is None:
        return None
    return Candle(
        EXCHANGE,
        symbol,
        unix_seconds(row.start),
        unix_seconds(row.end),
        interval,
        row.trades,
        opened,
        close,
        high,
        low,
        row.volume,
        True,
        None,
    )


def to_funding(message: MarkPriceMessage, symbol: str) -> Funding | None:
    """Return mark price and running rate (a fraction per funding interval), None without a rate."""
    if message.funding_rate is None:
        return None
    next_ms = message.next_funding_ms
    return Funding(
        EXCHANGE,
        symbol,
        message.mark_price,
        message.funding_rate,
        None if next_ms is None else next_ms / MILLISECONDS,
        message.engine_time_us / MICROSECONDS,
    )


def to_index(message: MarkPriceMessage, symbol: str) -> Index | None:
    """Return the index price, None where the venue has none."""
    if message.index_price is None:
        return None
    return Index(EXCHANGE, symbol, message.index_price, message.engine_time_us / MICROSECONDS)


def to_open_interest(message: OpenInterestMessage, symbol: str) -> OpenInterest:
    """Return the open interest in base units; its time is when the venue sent it."""
    return OpenInterest(
        EXCHANGE, symbol, message.open_interest, message.event_time_us / MICROSECONDS
    )


def to_liquidation(message: LiquidationMessage, symbol: str) -> Liquidation:
    """Return a liquidation; its side is the order's, and the venue gives neither id nor status."""
    return Liquidation(
        EXCHANGE,
        symbol,
        _SIDES.get(message.side, message.side),
        message.quantity,
        message.price,
        None,
        None,
        message.engine_time_us / MICROSECONDS,
    )


def unix_seconds(moment: datetime) -> float:
    """Return unix seconds; a time without a zone is UTC on this wire."""
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
