"""`python -m tests.judge COMMAND`: one JSON object on stdout; exit code 1 if a promise is broken."""

import argparse
import json
import sys
from collections.abc import Sequence

from tests.judge import forged, restarts, same_feed, scale


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one show."""
    parser = argparse.ArgumentParser(prog="make judge", description=__doc__)
    parser.add_argument("show", choices=["forged", "aa", "restarts", "scale"])
    parser.add_argument("--count", type=int, help="answers, runs, traces or instances")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(arguments)
    if options.show == "forged":
        result = forged.forged(options.count or 10_000, options.seed)
        wrong = forged.complaints(result)
    elif options.show == "aa":
        result = same_feed.same_feed(options.count or 1000, options.seed)
        wrong = same_feed.complaints(result)
    elif options.show == "restarts":
        result = restarts.restarts(options.count or 20, options.seed)
        wrong = restarts.complaints(result)
    else:
        result = scale.scale(options.count or 1000)
        wrong = scale.complaints(result)
    print(json.dumps({**result, "kept": not wrong, "wrong": wrong}, indent=2))  # noqa: T201
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
