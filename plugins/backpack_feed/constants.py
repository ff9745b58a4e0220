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

ORDER_INFO: Final = "order_info"
"""cryptofeed 3 has no private channels, so this name is ours."""

DEPTH: Final = "depth"
TRADE: Final = "trade"
ORDER_UPDATE: Final = "account.orderUpdate"
DEPTH_WINDOWS: Final = ("200ms", "600ms", "1000ms")

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
