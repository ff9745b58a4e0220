"""Print what happens to a Backpack account: `python examples/private.py --credentials FILE`.

FILE is JSON, `{"api_key": …, "private_key": …}`, both in base64. It ends after `--events` events,
or on Ctrl-C.
"""

import argparse
import sys
from pathlib import Path
from typing import Any

from cryptofeed import FeedHandler

from backpack_feed import BackpackFeed
from backpack_feed.constants import BALANCES, FILLS, ORDER_INFO, POSITIONS, REST_URL, WS_URL
from backpack_feed.errors import ConfigError

CHANNELS = [ORDER_INFO, FILLS, BALANCES, POSITIONS]


def main() -> None:
    """Sign in, and print orders, fills, balances and positions as they change."""
    options = arguments()
    handler = FeedHandler(config={"log": {"filename": None, "level": "WARNING"}})
    printed = 0

    def show(channel: str) -> Any:
        async def callback(event: Any, _receipt_timestamp: float) -> None:
            nonlocal printed
            printed += 1
            if printed <= options.events:
                print(f"{channel:<11} {event.to_dict(numeric_type=str)}", flush=True)
            if printed == options.events:
                handler.request_stop()

        return callback

    handler.add_feed(
        BackpackFeed(
            symbols=options.symbols,
            channels=options.channels,
            callbacks={channel: show(channel) for channel in options.channels},
            credentials_file=options.credentials,
            rest_url=options.rest_url,
            ws_url=options.ws_url,
            ca_file=options.ca_file,
        )
    )
    handler.run()


def arguments() -> argparse.Namespace:
    """Whose account, and where; the real venue unless told otherwise."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--credentials", type=Path, required=True, metavar="FILE")
    parser.add_argument("--symbols", nargs="+", default=["SOL-USDC", "SOL-USDC-PERP"])
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
