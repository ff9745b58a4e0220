"""`backpack-sandbox fault` and `nasty`."""

import argparse
import json
from typing import Any

from backpack_sandbox.cli_common import add_address, ask, not_negative, positive
from backpack_sandbox.errors import SandboxError
from backpack_sandbox.faults.catalogue import (
    AGED_FAULTS,
    KINDS,
    SYMBOL_FAULTS,
    all_parameters,
    listed,
)
from backpack_sandbox.faults.names import FaultName
from backpack_sandbox.faults.nasty import nasty_inputs


def add_fault(parser: argparse.ArgumentParser) -> None:
    """Options of `fault`; those of single kinds are read off the catalogue."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = catalogue_text()
    parser.add_argument(
        "name",
        nargs="?",
        choices=[name.value for name in FaultName],
        metavar="NAME",
        help="what the venue does to its clients: see below",
    )
    add_address(parser)
    parser.add_argument("--user-agent", default="*", help="glob of the clients it is meant for")
    parser.add_argument(
        "--symbol",
        action="append",
        help=f"venue symbol, for {', '.join(sorted(SYMBOL_FAULTS))}; may repeat",
    )
    parser.add_argument(
        "--stream", action="append", help="glob of streams, for the same; may repeat"
    )
    parser.add_argument("--start-after", type=positive, help="seconds from now; default at once")
    parser.add_argument("--duration", type=positive, help="seconds; default until cleared")
    parser.add_argument(
        "--share",
        type=positive,
        help="0 to 1: share of the frames, requests, handshakes or sockets that are hit",
    )
    parser.add_argument(
        "--after",
        type=not_negative,
        help=f"age in seconds at which {listed(sorted(AGED_FAULTS))} strike",
    )
    for name, owners in all_parameters().items():
        means = "; ".join(f"{kind.name}: {p.means}, {p.range}" for kind, p in owners)
        parser.add_argument(f"--{name.replace('_', '-')}", metavar="VALUE", help=means)
    parser.add_argument("--clear", action="store_true", help="end every fault first")
    parser.add_argument("--list", action="store_true", help="print the active faults")
    parser.set_defaults(command=_fault)


def add_nasty(parser: argparse.ArgumentParser) -> None:
    """Options of `nasty`."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    names = "\n".join(f"  {nasty.name}: {nasty.story}" for nasty in nasty_inputs().values())
    parser.epilog = f"the inputs, and what a good client does:\n{names}".replace("%", "%%")
    parser.add_argument(
        "name", choices=list(nasty_inputs()), metavar="NAME", help="one of the inputs below"
    )
    add_address(parser)
    parser.add_argument("--user-agent", default="*", help="glob of the clients that get it")
    parser.add_argument("--stream", default="*", help="glob: sockets with such a stream get it")
    parser.add_argument("--wait", type=positive, help="seconds, in place of the input's own waits")
    parser.set_defaults(command=_nasty)


def catalogue_text() -> str:
    """Every fault in words, as the help shows it."""
    lines = ["faults:"]
    for kind in KINDS.values():
        share = f" [share of the {kind.share_of}]" if kind.share_of else ""
        lines.append(f"  {kind.name}{share}: {kind.story}")
        lines += [
            f"      --{p.name.replace('_', '-')} {p.range} (default {_shown(p.default)}): {p.means}"
            for p in kind.parameters
        ]
    return "\n".join(lines).replace("%", "%%")


def _fault(options: argparse.Namespace) -> int:
    if not (options.name or options.clear or options.list):
        raise SandboxError(f"name a fault ({listed(FaultName)}) or say --clear or --list")
    if options.clear:
        ask(options, "DELETE", "/sandbox/faults")
    if options.name:
        print(json.dumps(ask(options, "POST", "/sandbox/faults", _order(options))))
    if options.list:
        for fault in ask(options, "GET", "/sandbox/faults"):
            print(json.dumps(fault))
    return 0


def _order(options: argparse.Namespace) -> dict[str, Any]:
    order = {
        "fault": options.name,
        "user_agent": options.user_agent,
        "symbols": options.symbol,
        "streams": options.stream,
        "start_after_seconds": options.start_after,
        "duration_seconds": options.duration,
        "share": options.share,
        "after_seconds": options.after,
    }
    own = {p.name: p for p in KINDS[FaultName(options.name)].parameters}
    for name in all_parameters():
        text = getattr(options, name)
        if text is not None:
            # the venue says which faults have the others
            order[name] = own[name].parse(text) if name in own else text
    return {key: value for key, value in order.items() if value is not None}


def _nasty(options: argparse.Namespace) -> int:
    order = {
        "name": options.name,
        "user_agent": options.user_agent,
        "stream": options.stream,
        "wait_seconds": options.wait,
    }
    print(json.dumps(ask(options, "POST", "/sandbox/nasty", order)))
    return 0


def _shown(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:g}"
