"""`backpack-feed`: one FeedHandler process, and offline tools.

Exit codes: 0 after a graceful stop, 1 when a running process had to give up or a file's expectation
is not met, 2 when it was asked for something that cannot be. Every refusal is one line on stderr.
"""

import argparse
import asyncio
import logging
import os
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from backpack_feed.incumbent.other_exchanges import left_out
from backpack_feed.refusal import Refusal
from backpack_feed.toggle import FLAG, bind

if TYPE_CHECKING:
    from backpack_feed.replay.report import Line

LOG = logging.getLogger(__name__)


def main(argv: Sequence[str] | None = None, environ: Mapping[str, str] = os.environ) -> int:
    """Run the command line and return the exit code."""
    arguments = _parser().parse_args(argv)
    try:
        return int(arguments.act(arguments, environ) or 0)
    except Refusal as refusal:
        print(f"backpack-feed: {refusal}", file=sys.stderr)
        return refusal.exit_code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="backpack-feed", description="Backpack market data")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    run = commands.add_parser(
        "run",
        help="run one FeedHandler process",
        description=f"Run one FeedHandler process; {FLAG}=true chooses the native feed.",
    )
    run.add_argument("--config", type=Path, required=True, metavar="FILE")
    run.set_defaults(act=_run)
    replay = commands.add_parser(
        "replay",
        help="replay a recorded file through the native feed, offline",
        description="Replay recorded frames, scenarios, requests or signatures through the native"
        " feed's own code; the content decides. Exit 1 when an expectation of the file is not met.",
    )
    replay.set_defaults(act=_replay)
    sign = commands.add_parser(
        "sign",
        help="print signing strings and signatures, offline",
        description="Sign request descriptions, or check a file of signing vectors. Exit 1 when an"
        " expectation in the file is not met.",
    )
    sign.add_argument(
        "--credentials",
        type=Path,
        metavar="FILE",
        help="JSON with api_key and private_key, for request descriptions",
    )
    sign.set_defaults(act=_sign)
    for tool in (replay, sign):
        tool.add_argument("file", type=Path, metavar="FILE")
        tool.add_argument("--json", action="store_true", help="one JSON object per line")
    return parser


def _run(arguments: argparse.Namespace, environ: Mapping[str, str]) -> None:
    # The flag and the file are checked before anything heavy is imported
    from backpack_feed.process.config import load_config  # noqa: PLC0415
    from backpack_feed.process.process_log import secrets_of, start_log  # noqa: PLC0415
    from backpack_feed.process.startup import imports_kept  # noqa: PLC0415
    from backpack_feed.process.supervised import end_with_supervisor  # noqa: PLC0415

    end_with_supervisor(environ)
    config = load_config(arguments.config)
    # the process is ours alone, and what it starts with is how long a rollback takes
    with imports_kept(), left_out():
        variant = bind(environ)
        start_log(secrets_of(config.credentials_file, config.venue.http_proxy))

        import uvloop  # noqa: PLC0415

        from backpack_feed.process.handler import HandlerProcess  # noqa: PLC0415

    async def serve() -> None:
        await HandlerProcess(config, variant).run()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve())


def _replay(arguments: argparse.Namespace, _environ: Mapping[str, str]) -> int:
    from backpack_feed.replay.formats import replay_file  # noqa: PLC0415

    return _print(replay_file(arguments.file), as_json=arguments.json)


def _sign(arguments: argparse.Namespace, _environ: Mapping[str, str]) -> int:
    from backpack_feed.replay.signing_files import sign_file  # noqa: PLC0415

    clock = time.time  # noqa: TID251 - the signer's argument
    return _print(sign_file(arguments.file, arguments.credentials, clock), as_json=arguments.json)


def _print(lines: Iterable["Line"], *, as_json: bool) -> int:
    """Print a report; return 1 when anything is not as the file expects."""
    from backpack_feed.replay.report import print_report  # noqa: PLC0415

    # what the feed logs about a bad frame is in the report already
    log = logging.getLogger("backpack_feed")
    level = log.level
    log.setLevel(logging.CRITICAL + 1)
    try:
        return min(print_report(lines, sys.stdout, as_json=as_json), 1)
    except BrokenPipeError:  # the reader of a pipe has seen enough
        sys.stdout = open(os.devnull, "w")  # noqa: PTH123, SIM115 - for the flush at exit
        return 0
    finally:
        log.setLevel(level)


if __name__ == "__main__":
    sys.exit(main())
