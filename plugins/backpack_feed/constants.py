"""Fixed names and numbers of the venue and of the native feed."""

from importlib.metadata import PackageNotFoundError, version
from typing import Final

EXCHANGE: Final = "BACKPACK"
REST_URL: Final = "https://api.backpack.exchange"
WS_URL: Final = "wss://ws.backpack.exchange"

try:
    VERSION = version("backpack-migration")
except PackageNotFoundError:  # a plugins folder that was copied and not installed
    VERSION = "0"

USER_AGENT: Final = f"backpack-feed/{VERSION}"

# cryptofeed 3 has no private channels, so these names are ours
ORDER_INFO: Final = "order_info"
FILLS: Final = "fills"
BALANCES: Final = "balances"
POSITIONS: Final = "positions"

DEPTH: Final = "depth"
TRADE: Final = "trade"
BOOK_TICKER: Final = "bookTicker"
TICKER_STREAM: Final = "ticker"
KLINE: Final = "kline"
MARK_PRICE: Final = "markPrice"
OPEN_INTEREST_STREAM: Final = "openInterest"
LIQUIDATION: Final = "liquidation"
ORDER_UPDATE: Final = "account.orderUpdate"
POSITION_UPDATE: Final = "account.positionUpdate"
BALANCE_UPDATE: Final = "account.balanceUpdate"
DEPTH_WINDOWS: Final = ("200ms", "600ms", "1000ms")

MONTH: Final = "1M"
CANDLE_INTERVALS: Final = {
    "1s": "1s",
    "1m": "1m",
    "3m": "3m",
    "5m": "5m",
    "15m": "15m",
    "30m": "30m",
    "1h": "1h",
    "2h": "2h",
    "4h": "4h",
    "6h": "6h",
    "8h": "8h",
    "12h": "12h",
    "1d": "1d",
    "3d": "3d",
    "1w": "1w",
    MONTH: "1month",
}
"""cryptofeed's name → the venue's."""

DEPTH_LIMIT: Final = 1000
TRADES_LIMIT: Final = 1000

SIGNATURE_WINDOW_MS: Final = 5_000
SIGNATURE_WINDOW_MAX_MS: Final = 60_000

FRAME_LIMIT_BYTES: Final = 8 * 1024 * 1024
REST_BODY_LIMIT_BYTES: Final = 32 * 1024 * 1024

MICROSECONDS: Final = 1_000_000
MILLISECONDS: Final = 1_000

ERROR_SIGNATURE: Final = 4003

BACKFILL: Final = "backfill"
"""`Trade.type` of a trade that came from REST and not from the stream."""
