"""`backpack-feed`: one FeedHandler process, and offline tools.

Exit codes: 0 after a graceful stop, 1 when a running process had to give up, 2 when it was asked
for something that cannot be. Every refusal is one line on stderr.
"""

import argparse
import asyncio
import logging
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from backpack_feed.refusal import Refusal
from backpack_feed.toggle import FLAG, bind

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
    return parser


def _run(arguments: argparse.Namespace, environ: Mapping[str, str]) -> None:
    # The flag and the file are checked before anything heavy is imported
    from backpack_feed.process.config import load_config  # noqa: PLC0415
    from backpack_feed.process.process_log import secrets_of, start_log  # noqa: PLC0415

    config = load_config(arguments.config)
    variant = bind(environ)
    start_log(secrets_of(config.credentials_file))

    import uvloop  # noqa: PLC0415

    from backpack_feed.process.handler import HandlerProcess  # noqa: PLC0415

    async def serve() -> None:
        await HandlerProcess(config, variant).run()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve())


if __name__ == "__main__":
    sys.exit(main())
