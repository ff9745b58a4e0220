"""The venue's markets as ccxt lists them, under cryptofeed's names."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import Any

from backpack_feed.counters import FeedCounters
from backpack_feed.incumbent.session import CcxtSession, SessionLost, VenueRefusal
from backpack_feed.incumbent.watchers import backoff_seconds
from backpack_feed.wire.messages import MarketRow
from backpack_feed.wire.symbols import market_name

LOG = logging.getLogger(__name__)


async def learn_markets(
    new_session: Callable[[], CcxtSession], counters: FeedCounters
) -> CcxtSession:
    """Return a closed session that knows the markets; tries again until the venue answers."""
    attempt = 0
    while True:
        session = new_session()
        try:
            await session.open()
        except (SessionLost, VenueRefusal) as error:
            counters.ws_errors += 1
            LOG.warning("markets cannot be loaded: %s", error)
        else:
            return session
        finally:
            await session.close()
        await asyncio.sleep(backoff_seconds(attempt))
        attempt += 1


def named_markets(session: CcxtSession) -> dict[str, dict[str, Any]]:
    """Return cryptofeed's name → ccxt's market structure, without what cannot be named."""
    return {
        name: market
        for market in session.markets()
        if (name := _cryptofeed_name(market)) is not None
    }


def _cryptofeed_name(market: Mapping[str, Any]) -> str | None:
    """Name a ccxt market by the venue's own words: ccxt itself turns kPEPE into KPEPE."""
    info = market["info"]
    try:
        row = MarketRow(
            symbol=market["id"],
            base=info["baseSymbol"],
            quote=info["quoteSymbol"],
            market_type=info["marketType"],
        )
    except KeyError:
        return None  # ccxt invents RFQ markets from /securities
    return market_name(row)
