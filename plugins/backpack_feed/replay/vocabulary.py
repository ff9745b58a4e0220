"""The feed's events in the words of recorded expectations: the one place that knows both.

One frame may give several events, of which an expectation shows one: funding with the index price,
an order update with its fill.
"""

from collections.abc import Callable, Iterable
from typing import Any, Final

from cryptofeed.defines import (
    CANDLES,
    FUNDING,
    INDEX,
    L1_BOOK,
    L2_BOOK,
    LIQUIDATIONS,
    OPEN_INTEREST,
    TICKER,
    TRADES,
)

from backpack_feed.constants import BALANCES, FILLS, ORDER_INFO, POSITIONS
from backpack_feed.wire.messages import DepthMessage, Message

type Event = dict[str, Any]
"""An event's plain values, with its `channel`."""

_TYPES: Final = {
    L2_BOOK: "book_delta",
    TRADES: "trade",
    L1_BOOK: "l1",
    TICKER: "ticker",
    FUNDING: "funding",
    INDEX: "index",
    OPEN_INTEREST: "open_interest",
    LIQUIDATIONS: "liquidation",
    CANDLES: "candle",
    ORDER_INFO: "order_info",
    FILLS: "fill",
    POSITIONS: "position",
    BALANCES: "balance",
}
_FILL_KEYS: Final = ("id", "price", "amount", "liquidity", "fee", "fee_currency")
_RENAMED: Final[dict[str, dict[str, str]]] = {
    L1_BOOK: {"bid_price": "bid", "ask_price": "ask"},
    TICKER: {},
    FUNDING: {"next_funding_time": "next_funding_time_s"},
    INDEX: {"price": "index_price"},
    CANDLES: {"start": "start_s", "stop": "stop_s"},
}


def in_expected_words(events: Iterable[Event], message: Message | None) -> dict[str, Any]:
    """Return the events of one frame as one expectation would show them.

    The event's own names stay beside the renamed ones. Empty when nothing was published.
    """
    by_channel: dict[str, Event] = {}
    for event in events:
        by_channel.setdefault(event["channel"], event)
    shown: dict[str, Any] = {}
    for channel, add in _ORDER:
        if channel in by_channel:
            add(shown, channel, by_channel[channel])
    if isinstance(message, DepthMessage) and L2_BOOK in by_channel:
        shown["bids"], shown["asks"] = message.bids, message.asks
        shown["sequence"] = [message.first_id, message.last_id]
    return shown


def _main(shown: dict[str, Any], channel: str, event: Event) -> None:
    # cryptofeed's trades have a `type` of their own, which means something else
    names = _with_both_names(channel, event) | {"type": _TYPES.get(channel, channel)}
    for name, value in names.items():
        shown.setdefault(name, value)


def _index(shown: dict[str, Any], channel: str, event: Event) -> None:
    if "type" not in shown:
        _main(shown, channel, event)
    shown["index_price"] = event["price"]


def _fill(shown: dict[str, Any], channel: str, event: Event) -> None:
    if "type" not in shown:
        _main(shown, channel, event)
    else:
        shown["type"] = f"{shown['type']}+fill"
    shown["fill"] = {key: event[key] for key in _FILL_KEYS}


def _with_both_names(channel: str, event: Event) -> Event:
    renamed = {new: event[old] for old, new in _RENAMED.get(channel, {}).items()}
    if event.get("timestamp") is not None:
        renamed["timestamp_s"] = event["timestamp"]
    return event | renamed


# what comes first gives the type; a ticker is the same quote as the L1 book, with less in it
_ORDER: Final[tuple[tuple[str, Callable[[dict[str, Any], str, Event], None]], ...]] = (
    (L2_BOOK, _main),
    (TRADES, _main),
    (L1_BOOK, _main),
    (TICKER, _main),
    (FUNDING, _main),
    (INDEX, _index),
    (OPEN_INTEREST, _main),
    (LIQUIDATIONS, _main),
    (CANDLES, _main),
    (ORDER_INFO, _main),
    (FILLS, _fill),
    (POSITIONS, _main),
    (BALANCES, _main),
)
