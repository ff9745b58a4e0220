"""`python -m tests.chaos --seeds 100`: feeds under random faults, and what the checker found.

Each seed is a plan: which faults strike when, and when the feed process is killed. A failing seed
is named with the command that runs it alone; its tape, ledger and log stay in the folder.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.chaos.feeds.run import JOBS, figures, run_seeds
from tests.chaos.feeds.trial import Outcome

FOLDER = Path(__file__).resolve().parents[2] / "var" / "chaos"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the trials; 0 when every seed was right."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--seeds", type=int, default=100, help="how many")
    parser.add_argument("--seed", type=int, default=1, help="the first")
    parser.add_argument("--jobs", type=int, default=JOBS, help="trials side by side")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="for what failing seeds leave")
    options = parser.parse_args(arguments)
    seeds = range(options.seed, options.seed + options.seeds)
    outcomes = run_seeds(seeds, options.jobs, options.folder, report=_tell)
    sys.stdout.write(f"{figures(outcomes)}\n")
    return 0 if all(outcome.right for outcome in outcomes) else 1


def _tell(outcome: Outcome) -> None:
    sys.stdout.write(f"{outcome}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
