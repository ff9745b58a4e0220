"""`backpack-sandbox`: run the venue, and command a running one."""

import argparse
import os
import signal
import sys
from collections.abc import Sequence
from typing import NoReturn, override

from backpack_sandbox.cli_faults import add_fault, add_nasty
from backpack_sandbox.cli_market import add_market
from backpack_sandbox.cli_scenario import add_scenario
from backpack_sandbox.cli_serve import add_serve
from backpack_sandbox.cli_truth import add_truth
from backpack_sandbox.errors import SandboxError

EXIT_USAGE = 2
EXIT_INTERRUPTED = 128 + signal.SIGINT


class _Parser(argparse.ArgumentParser):
    """Tells a mistake in one line; argparse would put the usage above it."""

    def error(self, message: str) -> NoReturn:
        self.exit(EXIT_USAGE, f"{self.prog}: {message}; see {self.prog} --help\n")

    @override
    def parse_known_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: argparse.Namespace | None = None
    ) -> tuple[argparse.Namespace, list[str]]:
        """Tells of an unknown argument itself: argparse would leave it to the parser above."""
        found, unknown = super().parse_known_args(args, namespace)
        if unknown:
            self.error(f"unrecognized arguments: {' '.join(unknown)}")
        return found, unknown


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; 0 when it did what it says, 2 with one line on stderr otherwise.

    `truth check` and `scenario run --wait` say with 1 what they found. Ctrl-C is 130.
    """
    options = _parser().parse_args(arguments)
    try:
        return int(options.command(options))
    except BrokenPipeError:
        # `truth trades | head`: the reader has enough; keep the interpreter's last flush quiet
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except SandboxError as error:
        print(f"backpack-sandbox: {error}", file=sys.stderr)
        return EXIT_USAGE


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="backpack-sandbox", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    add_serve(commands.add_parser("serve", help="run the venue until SIGTERM or Ctrl-C"))
    add_fault(commands.add_parser("fault", help="start, list or end a fault of a running venue"))
    add_nasty(commands.add_parser("nasty", help="send a nasty input to the clients of a venue"))
    add_scenario(commands.add_parser("scenario", help="list, check and play scenarios"))
    add_market(commands.add_parser("market", help="pause or resume every market of a venue"))
    add_truth(commands.add_parser("truth", help="print what a running venue published"))
    return parser


if __name__ == "__main__":
    sys.exit(main())
