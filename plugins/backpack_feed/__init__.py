"""Backpack market data for cryptofeed: the native feed, the ccxt feed, and their process.

Importing the package loads neither feed: each is imported when its name is first asked for, so that
a native process never pays for ccxt.

"Protocol section N" in a docstring is the rule of that number in docs/exchanges/backpack.md.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from backpack_feed.incumbent.feed import CcxtBackpackFeed
    from backpack_feed.native.feed import BackpackFeed

__all__ = ["BackpackFeed", "CcxtBackpackFeed"]

_HOMES = {
    "BackpackFeed": "backpack_feed.native.feed",
    "CcxtBackpackFeed": "backpack_feed.incumbent.feed",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
