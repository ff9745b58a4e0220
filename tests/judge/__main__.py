"""`python -m tests.judge COMMAND`: one JSON object on stdout; exit code 1 if a promise is broken."""

import argparse
import json
import sys
from collections.abc import Sequence

from tests.judge.forged import forged
from tests.judge.restarts import restarts
from tests.judge.same_feed import same_feed
from tests.judge.scale import scale


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one show."""
    parser = argparse.ArgumentParser(prog="make judge", description=__doc__)
    parser.add_argument("show", choices=["forged", "aa", "restarts", "scale"])
    parser.add_argument("--count", type=int, help="answers, runs, traces or instances")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(arguments)
    if options.show == "forged":
        result = forged(options.count or 10_000, options.seed)
        kept = result["forged_promotes"] == 0
    elif options.show == "aa":
        result = same_feed(options.count or 1000, options.seed)
        kept = result["aa_false_rollbacks"] * 1000 <= max(result["aa_runs"], 1000)
    elif options.show == "restarts":
        result = restarts(options.count or 20, options.seed)
        kept = result["kill_other_verdicts"] == 0
    else:
        result = scale(options.count or 1000)
        kept = result["tick_p99_seconds"] < 1
    print(json.dumps({**result, "kept": kept}, indent=2))  # noqa: T201
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
