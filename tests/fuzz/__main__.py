"""`python -m tests.fuzz --frames 1000000 --seed 1`: exit 1 on an escaped exception or growth."""

import argparse
import sys

from tests.fuzz.run import GROWTH_LIMIT_MB, fuzz


def main() -> int:
    """Run, print the figures, and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--frames", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=float("inf"), help="stop after this time")
    arguments = parser.parse_args()
    report = fuzz(arguments.frames, arguments.seed, arguments.seconds)
    sys.stdout.write(f"seed {arguments.seed}: {report}\n")
    sys.stderr.writelines(f"{text}\n" for text in report.escaped)
    if report.growth_mb > GROWTH_LIMIT_MB:
        sys.stderr.write(f"grew by more than {GROWTH_LIMIT_MB} MB\n")
    return int(bool(report.escaped) or report.growth_mb > GROWTH_LIMIT_MB)


if __name__ == "__main__":
    sys.exit(main())
