"""The venue's markets as one running feed knows them: read at the start and never emptied."""

import asyncio
import logging
import random
from collections.abc import Callable, Coroutine, Mapping, Sequence
from difflib import get_close_matches
from typing import Any, Final

from cryptofeed.defines import PERPETUAL

from backpack_feed.backoff import full_jitter
from backpack_feed.errors import ConfigError, FeedError
from backpack_feed.native.subscriptions import PERPETUALS_ONLY
from backpack_feed.wire.rest import BackpackRest
from backpack_feed.wire.symbols import SymbolTable, symbol_table

LOG = logging.getLogger(__name__)

PAUSE_SECONDS: Final = 0.2
BACKOFF_CAP_SECONDS: Final = 15.0
RELOAD_INTERVAL_SECONDS: Final = 60.0

type Configured = Mapping[str, Sequence[str]]
"""Channel → cryptofeed symbols."""


class Markets:
    """`table` holds every market that the venue ever told of since the start."""

    def __init__(self, rest: BackpackRest, *, monotonic: Callable[[], float]) -> None:
        self.table = SymbolTable({})
        self._rest = rest
        self._monotonic = monotonic
        self._reloaded_at = float("-inf")

    async def load(self, stopping: asyncio.Event, configured: Configured) -> bool:
        """Read the markets, however long it takes; return False when told to stop meanwhile.

        Raises `ConfigError` for a symbol that is none of them.
        """
        attempt = 0
        while not stopping.is_set():
            try:
                certain = await _unless(stopping, self._read())
            except FeedError as error:
                LOG.warning("cannot read the markets, trying again: %s", error)
            else:
                missing = _missing(self.table, configured)
                if self.table.to_venue and not missing:
                    self._tell(configured)
                    return True
                if certain and self.table.to_venue:
                    raise _unknown(missing[0], self.table)
                LOG.warning("/markets lists %d markets, trying again", len(self.table.to_venue))
            delay = full_jitter(
                attempt, base_seconds=1.0, cap_seconds=BACKOFF_CAP_SECONDS, jitter=random.random
            )
            attempt += 1
            await _wait(stopping, PAUSE_SECONDS + delay)
        return False

    def reload_due(self) -> bool:
        """Whether to read the markets again now, at most once in a while; asking counts."""
        now = self._monotonic()
        if now - self._reloaded_at < RELOAD_INTERVAL_SECONDS:
            return False
        self._reloaded_at = now
        return True

    async def reload(self) -> None:
        """Add what was listed since; a failure changes nothing."""
        try:
            await self._read()
        except FeedError as error:
            LOG.warning("cannot read the markets again: %s", error)

    async def _read(self) -> bool:
        """Merge the venue's answer into the table; return whether the answer can be complete."""
        answer = await self._rest.markets_answer()
        newer = symbol_table(answer.rows)
        self.table = self.table.merged(newer)
        if answer.unreadable:
            LOG.warning("/markets: %d rows could not be read", answer.unreadable)
        return not (answer.stale or answer.unreadable)

    def _tell(self, configured: Configured) -> None:
        for symbol in sorted({symbol for symbols in configured.values() for symbol in symbols}):
            if self.table.states.get(self.table.to_venue[symbol]) == "Closed":
                LOG.warning("%s is closed: nothing will come", symbol)
        if self.table.skipped:
            LOG.info("markets of unnameable types skipped: %s", self.table.skipped)


def wanted_markets(configured: Configured, table: SymbolTable) -> dict[str, dict[str, str]]:
    """Return channel → cryptofeed symbol → venue symbol, without what a spot market has not."""
    wanted: dict[str, dict[str, str]] = {}
    for channel, symbols in configured.items():
        served = wanted.setdefault(channel, {})
        for symbol in symbols:
            if channel in PERPETUALS_ONLY and table.kinds.get(symbol) != PERPETUAL:
                LOG.info("%s: %s is no perpetual and has none", channel, symbol)
                continue
            served[symbol] = table.to_venue[symbol]
    return wanted


def _missing(table: SymbolTable, configured: Configured) -> list[str]:
    wanted = {symbol for symbols in configured.values() for symbol in symbols}
    return sorted(wanted - table.to_venue.keys())


def _unknown(symbol: str, table: SymbolTable) -> ConfigError:
    close = get_close_matches(symbol, table.to_venue, n=1)
    hint = f": did you mean {close[0]}?" if close else ": check /api/v1/markets"
    return ConfigError(f"symbols: {symbol} is not a market of the venue{hint}")


async def _unless(stopping: asyncio.Event, reading: Coroutine[Any, Any, bool]) -> bool:
    """Return what `reading` returns, or False as soon as `stopping` is set."""
    read = asyncio.ensure_future(reading)
    stop = asyncio.ensure_future(stopping.wait())
    try:
        await asyncio.wait({read, stop}, return_when=asyncio.FIRST_COMPLETED)
        return read.result() if read.done() else False
    finally:
        for task in (read, stop):
            task.cancel()
        await asyncio.gather(read, stop, return_exceptions=True)


async def _wait(event: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return
