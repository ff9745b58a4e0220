"""Print Backpack's public market data: `python examples/public.py`.

A plain cryptofeed program. It ends after `--events` events, or on Ctrl-C.
"""

import argparse
import sys
from pathlib import Path
from typing import Any

from cryptofeed import FeedHandler
from cryptofeed.defines import (
    CANDLES,
    FUNDING,
    INDEX,
    L2_BOOK,
    LIQUIDATIONS,
    OPEN_INTEREST,
    TICKER,
    TRADES,
)

from backpack_feed import BackpackFeed
from backpack_feed.constants import REST_URL, WS_URL
from backpack_feed.errors import ConfigError

CHANNELS = [L2_BOOK, TRADES, TICKER, CANDLES, FUNDING, INDEX, OPEN_INTEREST, LIQUIDATIONS]


def main() -> None:
    """Connect, and print every event."""
    options = arguments()
    handler = FeedHandler(config={"log": {"filename": None, "level": "WARNING"}})
    printed = 0

    def show(channel: str) -> Any:
        async def callback(event: Any, receipt_timestamp: float) -> None:
            nonlocal printed
            printed += 1
            if printed <= options.events:
                print(f"{channel:<13} {receipt_timestamp:.6f} {describe(event)}", flush=True)
            if printed == options.events:
                handler.request_stop()

        return callback

    handler.add_feed(
        BackpackFeed(
            symbols=options.symbols,
            channels=options.channels,
            callbacks={channel: show(channel) for channel in options.channels},
            candle_interval="1m",
            candle_closed_only=False,
            rest_url=options.rest_url,
            ws_url=options.ws_url,
            ca_file=options.ca_file,
        )
    )
    handler.run()


def describe(event: Any) -> str:
    """The top of a book, with its sequence number; any other event whole."""
    if not hasattr(event, "book"):
        return str(event)
    bid, ask = best(event.book.bids), best(event.book.asks)
    return f"{event.symbol} #{event.sequence_number} bid: {bid} ask: {ask}"


def best(side: Any) -> str:
    """Size and price of the first level, `-` when there is none."""
    if not len(side):
        return "-"
    price, size = side.index(0)
    return f"{size} at {price}"


def arguments() -> argparse.Namespace:
    """What to subscribe to, and where; the real venue unless told otherwise."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--symbols", nargs="+", default=["SOL-USDC-PERP"])
    parser.add_argument("--channels", nargs="+", default=CHANNELS, choices=CHANNELS)
    parser.add_argument("--events", type=int, default=1000, help="end after this many")
    parser.add_argument("--rest-url", default=REST_URL)
    parser.add_argument("--ws-url", default=WS_URL)
    parser.add_argument("--ca-file", type=Path, help="the authority of a local venue")
    return parser.parse_args()


if __name__ == "__main__":
    try:
        main()
    except* ConfigError as wrong:
        print(*wrong.exceptions, file=sys.stderr)
        sys.exit(2)
