"""`backpack-sandbox market pause|resume`."""

import argparse
import json

from backpack_sandbox.cli_common import add_address, ask


def add_market(parser: argparse.ArgumentParser) -> None:
    """Options of `market`."""
    parser.add_argument(
        "order", choices=["pause", "resume"], metavar="pause|resume", help="sockets stay open"
    )
    add_address(parser)
    parser.set_defaults(command=_market)


def _market(options: argparse.Namespace) -> int:
    print(json.dumps(ask(options, "POST", f"/sandbox/market/{options.order}")))
    return 0
