"""How old a cached answer may be (protocol section 4, CDN caching). Pure.

Cached endpoints may answer 200 from an hour ago while the venue is down, and `Age` is the only
sign of it. A unique query parameter misses the cache.
"""

import itertools
from collections.abc import Callable, Mapping
from typing import Final

from backpack_feed.constants import MILLISECONDS

AGE_MARGIN_SECONDS: Final = 5
"""Caches count whole seconds, and one may stand behind another."""
UNCACHED_MARGIN_SECONDS: Final = 1

_FRESH_SECONDS: Final = {
    "/api/v1/markets": 300 + 600,
    "/api/v1/ticker": 20 + 10,
    "/api/v1/tickers": 20 + 10,
    "/api/v1/klines": 60 + 120,
    "/api/v1/trades": 5 + 5,
    "/api/v1/trades/history": 5 + 5,
    "/api/v1/openInterest": 5 + 5,
    "/api/v1/markPrices": 1 + 3,
}
"""s-maxage and stale-while-revalidate; whatever is not here is not cached at all."""

_unique = itertools.count(1)


def age_seconds(headers: Mapping[str, str]) -> int:
    """Return the `Age` of an answer, 0 when it came from the venue itself."""
    age = headers.get("Age", "").strip()
    return int(age[:10]) if age.isascii() and age.isdigit() else 0


def is_stale(path: str, age: int) -> bool:
    """Whether an answer of `age` seconds is older than a working venue lets it grow."""
    fresh = _FRESH_SECONDS.get(path)
    return age > (UNCACHED_MARGIN_SECONDS if fresh is None else fresh + AGE_MARGIN_SECONDS)


def past_the_cache(params: Mapping[str, str], clock: Callable[[], float]) -> dict[str, str]:
    """Return `params` with one that no request had before; `clock` is unix seconds."""
    return {**params, "_": f"{int(clock() * MILLISECONDS)}-{next(_unique)}"}
