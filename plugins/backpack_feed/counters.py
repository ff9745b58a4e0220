"""The counters behind `metrics_snapshot()`, shared by the native and the ccxt feed."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

DECODE_ERROR_KINDS: Final = (
    "json",
    "envelope",
    "schema",
    "value",
    "nesting",
    "size",
    "handler",
    "other",
)
"""Why a frame could not be read; `handler` is a frame at which ccxt's reader ended."""


def _no_decode_errors() -> dict[str, int]:
    return dict.fromkeys(DECODE_ERROR_KINDS, 0)


@dataclass
class FeedCounters:
    """Counts since the process started; they only grow.

    `ws_errors`: failed connects, abnormal closes (neither 1000 nor 1001), venue error frames other
    than authentication. `auth_failures`: refused signatures. `dropped_messages`: frames or events
    that could not be delivered. `messages` and `trades`: per channel and per symbol.
    `sequence_overlaps`: deltas that partly repeated what the book had, and were applied.
    `future_timestamps`: trades from more than a minute ahead of our clock, delivered all the same.
    `decode_error_kinds`: the part of `decode_errors` whose kind is known, per kind. `ccxt_defects`:
    per kind of `incumbent.defects.KINDS`, empty in the native feed. `suppressed`: frames that were
    read and rightly gave no event, per reason (`native.plain_streams`, `native.account_streams`).
    `rest`: per field of `wire.rest_requests.RestCounters`, empty in the ccxt feed.
    """

    ws_errors: int = 0
    auth_failures: int = 0
    dropped_messages: int = 0
    decode_errors: int = 0
    sequence_gaps: int = 0
    sequence_overlaps: int = 0
    future_timestamps: int = 0
    book_resyncs: int = 0
    reconnects: int = 0
    trade_duplicates: int = 0
    trades_backfilled: int = 0
    trades_lost: int = 0
    decode_error_kinds: dict[str, int] = field(default_factory=_no_decode_errors)
    ccxt_defects: dict[str, int] = field(default_factory=dict)
    suppressed: dict[str, int] = field(default_factory=dict)
    rest: dict[str, int] = field(default_factory=dict)
    messages: dict[str, int] = field(default_factory=dict)
    trades: dict[str, int] = field(default_factory=dict)
    heard_at: dict[str, float] = field(default_factory=dict)

    def message(self, channel: str, symbol: str | None, heard_at: float) -> None:
        """Count one frame of `channel`, heard at monotonic seconds; balances have no symbol."""
        self.messages[channel] = self.messages.get(channel, 0) + 1
        if symbol is not None:
            self.heard_at[symbol] = heard_at

    def trade(self, symbol: str) -> None:
        """Count one delivered trade."""
        self.trades[symbol] = self.trades.get(symbol, 0) + 1

    def decode_error(self, kind: str) -> None:
        """Count one unreadable frame; a kind outside `DECODE_ERROR_KINDS` counts as `other`."""
        self.decode_errors += 1
        self.decode_error_kinds[kind if kind in self.decode_error_kinds else "other"] += 1

    def snapshot(
        self,
        *,
        symbol_snapshot_age: Mapping[str, float],
        private_authenticated: bool,
        socket_down_seconds: float = 0.0,
        unix_ahead_seconds: float = 0.0,
    ) -> dict[str, Any]:
        """Return a copy that later counting does not change; ages are in seconds.

        `socket_down_seconds` is 0 while the socket is open. `unix_ahead_seconds` is unix minus
        monotonic seconds now: after a step of the clock, what was heard before is as old as it is.
        """
        return {
            "ws_errors": self.ws_errors,
            "auth_failures": self.auth_failures,
            "dropped_messages": self.dropped_messages,
            "decode_errors": self.decode_errors,
            "sequence_gaps": self.sequence_gaps,
            "sequence_overlaps": self.sequence_overlaps,
            "future_timestamps": self.future_timestamps,
            "book_resyncs": self.book_resyncs,
            "reconnects": self.reconnects,
            "trade_duplicates": self.trade_duplicates,
            "trades_backfilled": self.trades_backfilled,
            "trades_lost": self.trades_lost,
            "decode_error_kinds": dict(self.decode_error_kinds),
            "ccxt_defects": dict(self.ccxt_defects),
            "suppressed": dict(self.suppressed),
            "rest": dict(self.rest),
            "messages": dict(self.messages),
            "trades": dict(self.trades),
            "symbol_snapshot_age": dict(symbol_snapshot_age),
            "last_message_timestamp": {
                symbol: heard_at + unix_ahead_seconds for symbol, heard_at in self.heard_at.items()
            },
            "private_authenticated": private_authenticated,
            "socket_down_seconds": socket_down_seconds,
        }
