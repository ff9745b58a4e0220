"""The counters behind `metrics_snapshot()`, shared by the native and the ccxt feed."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass
class FeedCounters:
    """Counts since the process started; they only grow.

    `ws_errors`: failed connects, abnormal closes (neither 1000 nor 1001), venue error frames other
    than authentication. `auth_failures`: refused signatures. `dropped_messages`: frames or events
    that could not be delivered. `messages` and `trades`: per channel and per symbol.
    """

    ws_errors: int = 0
    auth_failures: int = 0
    dropped_messages: int = 0
    decode_errors: int = 0
    sequence_gaps: int = 0
    book_resyncs: int = 0
    reconnects: int = 0
    trade_duplicates: int = 0
    trades_backfilled: int = 0
    trades_lost: int = 0
    messages: dict[str, int] = field(default_factory=dict)
    trades: dict[str, int] = field(default_factory=dict)
    last_message_timestamp: dict[str, float] = field(default_factory=dict)

    def message(self, channel: str, symbol: str, unix_seconds: float) -> None:
        """Count one frame of `channel` for `symbol`, received at `unix_seconds`."""
        self.messages[channel] = self.messages.get(channel, 0) + 1
        self.last_message_timestamp[symbol] = unix_seconds

    def trade(self, symbol: str) -> None:
        """Count one delivered trade."""
        self.trades[symbol] = self.trades.get(symbol, 0) + 1

    def snapshot(
        self, *, symbol_snapshot_age: Mapping[str, float], private_authenticated: bool
    ) -> dict[str, Any]:
        """Return a copy that later counting does not change; ages are in seconds."""
        return {
            "ws_errors": self.ws_errors,
            "auth_failures": self.auth_failures,
            "dropped_messages": self.dropped_messages,
            "decode_errors": self.decode_errors,
            "sequence_gaps": self.sequence_gaps,
            "book_resyncs": self.book_resyncs,
            "reconnects": self.reconnects,
            "trade_duplicates": self.trade_duplicates,
            "trades_backfilled": self.trades_backfilled,
            "trades_lost": self.trades_lost,
            "messages": dict(self.messages),
            "trades": dict(self.trades),
            "symbol_snapshot_age": dict(symbol_snapshot_age),
            "last_message_timestamp": dict(self.last_message_timestamp),
            "private_authenticated": private_authenticated,
        }
