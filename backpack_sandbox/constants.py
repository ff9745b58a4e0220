"""Numbers and names of the venue's wire protocol that more than one module needs."""

import re
from typing import Final

API_PREFIX: Final = "/api/v1"
HISTORY_PREFIX: Final = "/wapi/v1"
CONTROL_PREFIX: Final = "/sandbox"
CONTROL_NAME: Final = "control.backpack-sandbox"
"""The server name by which a TLS client always gets a good certificate."""

DEPTH_LIMITS: Final = frozenset({5, 10, 20, 50, 100, 500, 1000})
DEPTH_LIMIT_DEFAULT: Final = 1000
TRADES_LIMIT_DEFAULT: Final = 100
TRADES_LIMIT_MAX: Final = 1000

HOUSE: Final = "house"
"""The account that the venue's own bot trades."""
TRADER: Final = "trader"
"""The account that only its owner trades."""

WINDOW_DEFAULT_MS: Final = 5000
WINDOW_MAX_MS: Final = 60_000

DEPTH_WINDOWS_MS: Final = {"200ms": 200, "600ms": 600, "1000ms": 1000}
LOOKS_LIKE_A_WINDOW: Final = re.compile(r"\d+ms\Z")

ORDER_UPDATE: Final = "account.orderUpdate"
POSITION_UPDATE: Final = "account.positionUpdate"
BALANCE_UPDATE: Final = "account.balanceUpdate"
LIQUIDATION: Final = "liquidation"
PRIVATE_PREFIX: Final = "account."
PUBLIC_STREAM_TYPES: Final = frozenset(
    {
        "depth",
        "trade",
        "bookTicker",
        "ticker",
        "externalTicker",
        "kline",
        "markPrice",
        "openInterest",
        LIQUIDATION,
        "stockPrice",
        "stockIndicativeQuote",
    }
)
PRIVATE_STREAM_TYPES: Final = frozenset(
    {ORDER_UPDATE, POSITION_UPDATE, BALANCE_UPDATE, "account.rfqUpdate"}
)

# Error frames name no stream and never echo an id: this is the venue's whole vocabulary.
PARSE_ERROR: Final = b'{"id":null,"error":{"code":4002,"message":"Parse error"}}'
INVALID_SIGNATURE: Final = b'{"id":null,"error":{"code":4003,"message":"Invalid signature"}}'
INVALID_STREAM: Final = b'{"id":null,"error":{"code":4006,"message":"Invalid stream"}}'
INVALID_DEPTH_WINDOW: Final = b'{"id":null,"error":{"code":4008,"message":"Invalid depth window"}}'

MICROSECONDS: Final = 1_000_000
