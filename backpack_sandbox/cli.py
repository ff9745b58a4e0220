"""`backpack-sandbox`: run the venue, and command a running one."""

import argparse
import asyncio
import http.client
import json
import os
import signal
import ssl
import sys
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

from backpack_sandbox.config import SandboxConfig
from backpack_sandbox.errors import SandboxError
from backpack_sandbox.faults.registry import SYMBOL_FAULTS, FaultName
from backpack_sandbox.server import Sandbox

REQUEST_TIMEOUT_SECONDS = 10
EXIT_USAGE = 2
MAX_PORT = 65535
FAULT_NAMES = [name.value for name in FaultName]


class _Parser(argparse.ArgumentParser):
    """Tells a mistake in one line; argparse would put the usage above it."""

    def error(self, message: str) -> NoReturn:
        self.exit(EXIT_USAGE, f"{self.prog}: {message}; see {self.prog} --help\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; 0 when it did what it says, 2 with one line on stderr otherwise."""
    options = _parser().parse_args(arguments)
    try:
        return int(options.command(options))
    except BrokenPipeError:
        # `truth trades | head`: the reader has enough; keep the interpreter's last flush quiet
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except SandboxError as error:
        print(f"backpack-sandbox: {error}", file=sys.stderr)
        return EXIT_USAGE


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="backpack-sandbox", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_serve(commands.add_parser("serve", help="run the venue until SIGTERM or Ctrl-C"))
    _add_fault(commands.add_parser("fault", help="start or end a fault of a running venue"))
    _add_truth(commands.add_parser("truth", help="print what a running venue published"))
    return parser


def _add_serve(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--state-dir", type=Path, required=True, help="CA, api key and ledger")
    parser.add_argument("--host", default="127.0.0.1", help="address of this machine")
    parser.add_argument("--port", type=_port, default=8600, help="0 takes any free port")
    parser.add_argument("--seed", type=int, default=7, help="same seed, same market")
    parser.add_argument("--rate", type=_positive, default=10.0, help="book events per s and market")
    parser.add_argument("--trades", type=_positive, default=1.0, help="takers per s and market")
    parser.add_argument(
        "--fault",
        action="append",
        default=[],
        choices=FAULT_NAMES,
        help="start with this fault on; may repeat",
    )
    parser.set_defaults(command=_serve)


def _add_fault(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "name", nargs="?", choices=FAULT_NAMES, help="what the venue does to its clients"
    )
    _add_address(parser)
    parser.add_argument("--user-agent", default="*", help="glob of the clients it is meant for")
    parser.add_argument(
        "--symbol",
        action="append",
        help=f"venue symbol, for {', '.join(sorted(SYMBOL_FAULTS))}; may repeat",
    )
    parser.add_argument("--duration", type=_positive, help="seconds; default until cleared")
    parser.add_argument(
        "--share",
        type=_positive,
        help="0 to 1: share of the frames, requests or sockets that are hit",
    )
    parser.add_argument(
        "--after", type=_positive, help="age in seconds at which disconnect, close and cut strike"
    )
    parser.add_argument("--clear", action="store_true", help="end every fault first")
    parser.set_defaults(command=_fault)


def _add_truth(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("what", choices=["trades", "last_ids", "book"])
    _add_address(parser)
    parser.add_argument("--symbol", action="append", help="venue symbol; default every market")
    parser.add_argument("--from-id", type=int, default=0, help="of trades")
    parser.add_argument("--id", type=int, help="update id of the book; default the newest")
    parser.set_defaults(command=_truth)


def _add_address(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--url", required=True, help="https://host:port of the venue")
    parser.add_argument("--ca", type=Path, required=True, help="ca.pem of its state directory")


def _positive(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"must be a number above 0, was {text!r}")
    return value


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) <= MAX_PORT):
        raise argparse.ArgumentTypeError(f"must be a number from 0 to {MAX_PORT}, was {text!r}")
    return int(text)


def _serve(options: argparse.Namespace) -> int:
    config = SandboxConfig(
        state_dir=options.state_dir,
        host=options.host,
        port=options.port,
        seed=options.seed,
        rate=options.rate,
        trades_per_second=options.trades,
        faults=tuple(options.fault),
    )
    with suppress(KeyboardInterrupt):
        asyncio.run(_serve_until_signal(config))
    return 0


async def _serve_until_signal(config: SandboxConfig) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with Sandbox(config) as venue:
        ready = {"ready": True, "port": venue.port, "rest_url": venue.rest_url}
        print(json.dumps(ready | {"ws_url": venue.ws_url}), flush=True)
        await venue.run_until(stop)


def _fault(options: argparse.Namespace) -> int:
    if not options.name and not options.clear:
        raise SandboxError(f"name a fault ({', '.join(FaultName)}) or say --clear")
    if options.clear:
        _request(options, "DELETE", "/sandbox/faults")
    if options.name:
        order = {
            "fault": options.name,
            "user_agent": options.user_agent,
            "symbols": options.symbol,
            "duration_seconds": options.duration,
            "share": options.share,
            "after_seconds": options.after,
        }
        print(json.dumps(_request(options, "POST", "/sandbox/faults", order)))
    return 0


def _truth(options: argparse.Namespace) -> int:
    if options.what == "last_ids":
        print(json.dumps(_request(options, "GET", "/sandbox/truth/last_ids")))
        return 0
    if options.what == "book":
        if len(options.symbol or ()) != 1:
            raise SandboxError("truth book is of one market: give one --symbol")
        wanted = {"symbol": options.symbol[0]} | ({"id": options.id} if options.id else {})
        query = urllib.parse.urlencode(wanted)
        print(json.dumps(_request(options, "GET", f"/sandbox/truth/book?{query}")))
        return 0
    query = urllib.parse.urlencode(
        {"symbol": options.symbol or [], "from_id": options.from_id}, doseq=True
    )
    for trade in _request(options, "GET", f"/sandbox/truth/trades?{query}"):
        print(json.dumps(trade))
    return 0


def _request(options: argparse.Namespace, method: str, path: str, body: Any = None) -> Any:
    _check_url(options.url)
    context = _trusting(options.ca)
    content = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(options.url + path, data=content, method=method)  # noqa: S310
    try:
        with urllib.request.urlopen(  # noqa: S310 - https only, checked above
            request, timeout=REQUEST_TIMEOUT_SECONDS, context=context
        ) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        raise SandboxError(f"{path}: {error.read().decode(errors='replace')}") from error
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise SandboxError(f"{options.url}: {error}; is the venue up, and --ca its own?") from error


def _check_url(url: str) -> None:
    try:
        parts = urllib.parse.urlsplit(url)
        usable = parts.scheme == "https" and parts.hostname and parts.port != 0
    except ValueError:  # a bracket or a port that is none
        usable = False
    if not usable or any(c.isspace() for c in url):
        raise SandboxError(f"--url {url}: must be https://host[:port], as `serve` printed it")


def _trusting(ca_file: Path) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=str(ca_file))
    except OSError as error:
        raise SandboxError(
            f"--ca {ca_file} cannot be read: {error.strerror or error}; give the ca.pem of the"
            " venue's --state-dir"
        ) from error


if __name__ == "__main__":
    sys.exit(main())
