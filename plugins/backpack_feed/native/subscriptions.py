"""What a feed wants of the venue, and the streams that carry it (protocol sections 6, 8, 9)."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

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

from backpack_feed.constants import (
    BALANCE_UPDATE,
    BALANCES,
    BOOK_TICKER,
    CANDLE_INTERVALS,
    DEPTH,
    FILLS,
    KLINE,
    LIQUIDATION,
    MARK_PRICE,
    OPEN_INTEREST_STREAM,
    ORDER_INFO,
    ORDER_UPDATE,
    POSITION_UPDATE,
    POSITIONS,
    TRADE,
)

PUBLIC_STREAMS: Final = {
    L2_BOOK: DEPTH,
    TRADES: TRADE,
    TICKER: BOOK_TICKER,
    L1_BOOK: BOOK_TICKER,
    CANDLES: KLINE,
    FUNDING: MARK_PRICE,
    INDEX: MARK_PRICE,
    OPEN_INTEREST: OPEN_INTEREST_STREAM,
    LIQUIDATIONS: LIQUIDATION,
}
PRIVATE_STREAMS: Final = {
    ORDER_INFO: ORDER_UPDATE,
    FILLS: ORDER_UPDATE,
    BALANCES: BALANCE_UPDATE,
    POSITIONS: POSITION_UPDATE,
}
"""Channel → name of the stream that carries it."""
PERPETUALS_ONLY: Final = frozenset({FUNDING, INDEX, OPEN_INTEREST, LIQUIDATIONS, POSITIONS})
"""A spot market has none of these, and the venue would answer its streams with silence."""


@dataclass(frozen=True, kw_only=True)
class Subscriptions:
    """`wanted`: channel → cryptofeed symbol → venue symbol.

    `depth_window` is `200ms` and so on, or '' for every change; `candle_interval` is cryptofeed's.
    """

    wanted: Mapping[str, Mapping[str, str]]
    depth_window: str = ""
    candle_interval: str = "1m"

    def of(self, channel: str) -> dict[str, str]:
        """Return cryptofeed symbol → venue symbol of a channel."""
        return dict(self.wanted.get(channel, {}))

    def stream(self, kind: str, venue_symbol: str) -> str:
        """Return the stream's name on the wire; liquidations of all markets share one."""
        if kind == LIQUIDATION:
            return LIQUIDATION
        if kind == DEPTH and self.depth_window:
            return f"{DEPTH}.{self.depth_window}.{venue_symbol}"
        if kind == KLINE:
            return f"{KLINE}.{CANDLE_INTERVALS[self.candle_interval]}.{venue_symbol}"
        return f"{kind}.{venue_symbol}"

    def public_streams(self) -> list[str]:
        """Name every stream that needs no signature, each once."""
        return list(dict.fromkeys(self._public()))

    def private_streams(self) -> list[str]:
        """Name the account's streams; each carries all markets.

        The one of the orders is always among them: it is what proves a signature.
        """
        wanted = (stream for channel, stream in PRIVATE_STREAMS.items() if channel in self.wanted)
        return list(dict.fromkeys([ORDER_UPDATE, *wanted]))

    def _public(self) -> Iterator[str]:
        for channel, kind in PUBLIC_STREAMS.items():
            for venue_symbol in self.wanted.get(channel, {}).values():
                yield self.stream(kind, venue_symbol)
