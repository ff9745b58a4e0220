"""CRYPTOFEED_BACKPACK_NATIVE decides which feed answers to `EXCHANGE_MAP['BACKPACK']`.

The flag is read once, when the process binds; a running process never changes its variant. To flip
an instance, change its environment and restart it.
"""

from collections.abc import Mapping
from typing import Final, Literal

from backpack_feed.refusal import ToggleError

EXCHANGE = "BACKPACK"
FLAG = "CRYPTOFEED_BACKPACK_NATIVE"
CCXT: Final = "ccxt"
NATIVE: Final = "native"
Variant = Literal["ccxt", "native"]


def native_enabled(environ: Mapping[str, str]) -> bool:
    """Read the flag: `true`/`false` in any case; absent or empty is false.

    Raises `ToggleError` for anything else: a typing slip must not choose a feed.
    """
    raw = environ.get(FLAG, "").strip()
    match raw.lower():
        case "true":
            return True
        case "false" | "":
            return False
    raise ToggleError(
        f"{FLAG} is {raw[:40]!r}: set it to true (native feed) or false (ccxt feed), or unset it"
    )


def bind(environ: Mapping[str, str]) -> Variant:
    """Bind `cryptofeed.exchanges.EXCHANGE_MAP['BACKPACK']` and return the variant's name.

    Only the chosen feed is imported: the ccxt library takes over a second to load.
    """
    # Imported here: the console scripts read the flag without loading thirty exchanges
    from cryptofeed.exchanges import EXCHANGE_MAP  # noqa: PLC0415

    if native_enabled(environ):
        from backpack_feed.native.feed import BackpackFeed  # noqa: PLC0415

        EXCHANGE_MAP[EXCHANGE] = BackpackFeed
        return NATIVE
    from backpack_feed.incumbent.feed import CcxtBackpackFeed  # noqa: PLC0415

    EXCHANGE_MAP[EXCHANGE] = CcxtBackpackFeed
    return CCXT
