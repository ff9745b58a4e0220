"""The channels that a FeedHandler process may deliver, and which feed can serve them."""

import logging
from collections.abc import Container, Iterable, Iterator, Sequence
from typing import Final, Literal, get_args

from backpack_feed.refusal import ConfigError
from backpack_feed.toggle import FLAG

LOG = logging.getLogger(__name__)

Channel = Literal[
    "l2_book",
    "trades",
    "l1_book",
    "ticker",
    "candles",
    "funding",
    "index",
    "open_interest",
    "liquidations",
    "order_info",
    "fills",
    "balances",
    "positions",
]
"""cryptofeed's names, and four of our own for the account, which cryptofeed 3 has no names for."""

CandleInterval = Literal[
    "1s",
    "1m",
    "3m",
    "5m",
    "15m",
    "30m",
    "1h",
    "2h",
    "4h",
    "6h",
    "8h",
    "12h",
    "1d",
    "3d",
    "1w",
    "1M",
]
DepthWindow = Literal["200ms", "600ms", "1000ms"]

CHANNELS: Final[tuple[Channel, ...]] = get_args(Channel)
PRIVATE: Final = frozenset({"order_info", "fills", "balances", "positions"})
COMPARED: Final[tuple[Channel, ...]] = ("l2_book", "trades")
"""What a shadow compares, and the default."""


def served_channels(
    channels: Sequence[str], served: Container[str], variant: str
) -> tuple[str, ...]:
    """Return those of `channels` that the feed of `variant` serves; warns of the others.

    A process never refuses to start because some of its channels cannot be served: a fleet must
    always be able to go back to the ccxt feed, also from channels that only the native one has.
    Raises `ConfigError` when nothing would be left.
    """
    kept = tuple(channel for channel in channels if channel in served)
    left_out = [channel for channel in channels if channel not in served]
    if not kept:
        raise ConfigError(
            f"channels: the {variant} feed serves none of {', '.join(channels)}: add l2_book or"
            f" trades, or set {FLAG}=true"
        )
    if left_out:
        LOG.warning(
            "channels: the %s feed cannot serve %s: nothing of it will come",
            variant,
            ", ".join(left_out),
        )
    return kept


def channel_complaints(
    channels: Sequence[str], *, shadow: bool, credentials: bool, sinks: Iterable[tuple[int, str]]
) -> Iterator[str]:
    """Say, with key and remedy, how `channels` do not fit the rest of the file.

    `sinks` are (number, channel) of every sink that takes one channel.
    """
    repeated = sorted({c for c in channels if channels.count(c) > 1})
    if repeated:
        yield f"channels: {', '.join(repeated)} is listed twice: list it once"
    if shadow and not set(COMPARED) <= set(channels):
        yield f"channels: a shadow compares {' and '.join(COMPARED)}: list both"
    private = [channel for channel in channels if channel in PRIVATE]
    if private and not credentials:
        yield (
            f"channels: {', '.join(private)} needs credentials: name the key file in"
            " credentials_file, or remove it"
        )
    for number, channel in sinks:
        if channel not in channels:
            yield f"sinks[{number}].channel: {channel} is not in channels: add it there"
