"""`backpack-sandbox serve`."""

import argparse
import asyncio
import json
import signal
import sys
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any, get_args

from backpack_sandbox.cli_common import not_negative, positive
from backpack_sandbox.config import SandboxConfig
from backpack_sandbox.errors import SandboxError
from backpack_sandbox.faults.names import FaultName
from backpack_sandbox.market.catalog import Profile
from backpack_sandbox.truth.recovery import first_seed

MAX_PORT = 65535


def add_serve(parser: argparse.ArgumentParser) -> None:
    """Options of `serve`."""
    parser.add_argument(
        "--state-dir", type=Path, required=True, help="CA, api keys, ledger and truth; kept"
    )
    parser.add_argument(
        "--host", default="127.0.0.1", help="address of this machine; default: %(default)s"
    )
    parser.add_argument(
        "--port", type=_port, default=8600, help="0 takes any free port; default: %(default)s"
    )
    parser.add_argument(
        "--profile",
        choices=get_args(Profile.__value__),
        default="small",
        help="which markets are listed: a few with every trap, or as many as the real venue has;"
        " default: %(default)s",
    )
    parser.add_argument(
        "--seed", type=int, default=7, help="same seed, same market; default: %(default)s"
    )
    parser.add_argument(
        "--rate",
        type=positive,
        default=10.0,
        help="book events per s and market; default: %(default)g",
    )
    parser.add_argument(
        "--trades",
        type=positive,
        default=1.0,
        help="takers per s and market; default: %(default)g",
    )
    parser.add_argument(
        "--cdn", action="store_true", help="answer REST from a cache as long as its headers say"
    )
    parser.add_argument(
        "--requests-per-minute",
        type=_count,
        default=2000,
        help="signed requests of an account before 429; default: %(default)s",
    )
    parser.add_argument(
        "--history-requests-per-minute",
        type=_count,
        default=30,
        help="of these, requests to /wapi/v1/history/*; default: %(default)s",
    )
    parser.add_argument(
        "--taker-delay",
        type=not_negative,
        default=0.1,
        help="seconds that an order which may take is held back; default: %(default)g",
    )
    parser.add_argument(
        "--trades-first",
        action="store_true",
        help="a match sends its trades before its depth frames: the real order is not known",
    )
    parser.add_argument(
        "--cancel-accepted",
        action="store_true",
        help="cancels answer 202 without a body, as the venue may",
    )
    parser.add_argument(
        "--fault",
        action="append",
        default=[],
        choices=[name.value for name in FaultName],
        metavar="NAME",
        help="start with this fault on; may repeat; the names: see `fault --help`",
    )
    parser.add_argument(
        "--scenario",
        default="",
        metavar="NAME|FILE",
        help="play a scenario from the start; see `scenario list`",
    )
    parser.set_defaults(command=_serve)


def _serve(options: argparse.Namespace) -> int:
    venue_class = _venue_class()
    config = SandboxConfig(
        state_dir=options.state_dir,
        host=options.host,
        port=options.port,
        profile=options.profile,
        seed=options.seed,
        rate=options.rate,
        trades_per_second=options.trades,
        cdn=options.cdn,
        requests_per_minute=options.requests_per_minute,
        history_requests_per_minute=options.history_requests_per_minute,
        taker_delay_seconds=options.taker_delay,
        trades_first=options.trades_first,
        cancel_accepted=options.cancel_accepted,
        faults=tuple(options.fault),
        scenario=options.scenario,
    )
    with suppress(KeyboardInterrupt):
        asyncio.run(_serve_until_signal(venue_class(config)))
    return 0


def _venue_class() -> Any:
    """The venue itself needs packages that the commands to a running one do without."""
    try:
        return import_module("backpack_sandbox.server").Sandbox
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("backpack_sandbox"):
            raise
        raise SandboxError(
            f"{error.name} is not installed: pip install 'backpack-migration[sandbox]'"
        ) from error


async def _serve_until_signal(sandbox: Any) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with sandbox as venue:
        ready = {"ready": True, "port": venue.port, "rest_url": venue.rest_url}
        print(json.dumps(ready | {"ws_url": venue.ws_url}), flush=True)
        _tell_of_seed(venue.config)
        await venue.run_until(stop)


def _tell_of_seed(config: SandboxConfig) -> None:
    seed = first_seed(config.ledger_file)
    if seed is not None and seed != config.seed:
        print(
            f"backpack-sandbox: --seed {config.seed}: {config.state_dir} was begun with seed"
            f" {seed}; its books go on, and the market is that of neither seed",
            file=sys.stderr,
            flush=True,
        )


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) <= MAX_PORT):
        raise argparse.ArgumentTypeError(f"must be a number from 0 to {MAX_PORT}, was {text!r}")
    return int(text)


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) > 0):
        raise argparse.ArgumentTypeError(f"must be a whole number above 0, was {text!r}")
    return int(text)
