"""`python -m benchmarks`: run the programme, print the table, write the figures."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec
import uvloop

from benchmarks.figures import InvalidRun
from benchmarks.programme import EVERYTHING, GROUPS, SOCKETS, Settings, measure
from benchmarks.report import summary
from benchmarks.runs import REPOSITORY
from benchmarks.table import table

FEED_JSON = REPOSITORY / "var" / "bench" / "feed.json"


def main(arguments: Sequence[str] | None = None) -> int:
    """Return 0, 1 when a run was invalid, or with `--strict` when a goal was missed."""
    asked = _parser().parse_args(arguments)
    settings = Settings(
        rounds=asked.rounds,
        messages=asked.messages,
        paced_seconds=asked.paced_seconds,
        touch_book=asked.touch_book,
        names=asked.only or EVERYTHING,
    )
    try:
        results = uvloop.run(measure(settings, lambda text: print(text, file=sys.stderr)))
    except (InvalidRun, TimeoutError) as error:
        print(f"invalid run, no figures: {error or 'it took too long'}", file=sys.stderr)
        return 1
    figures = summary(results, settings)
    print(*table(figures, results), sep="\n")
    out = asked.out or (None if asked.only else FEED_JSON)
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_bytes(msgspec.json.format(msgspec.json.encode(figures), indent=2) + b"\n")
        print(f"written to {out}")
    missed = any(not goal["holds"] for goal in figures["goals"])
    return int(asked.strict and missed)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="interleaved rounds (5)")
    parser.add_argument(
        "--messages", type=int, default=200_000, help="for the fastest contenders (200000)"
    )
    parser.add_argument("--paced-seconds", type=float, default=4.0, help="latency and peak (4)")
    parser.add_argument("--only", type=_names, help=f"comma separated: {', '.join(_known())}")
    parser.add_argument("--touch-book", action="store_true", help="callbacks read the touch")
    parser.add_argument("--strict", action="store_true", help="exit 1 when a goal is missed")
    parser.add_argument("--out", type=Path, help="JSON file (var/bench/feed.json for a whole run)")
    return parser


def _known() -> tuple[str, ...]:
    return (*EVERYTHING, *SOCKETS, *GROUPS)


def _names(text: str) -> list[str]:
    names: list[str] = []
    for word in text.split(","):
        if word not in _known():
            raise argparse.ArgumentTypeError(f"{word!r} is none of {', '.join(_known())}")
        names.extend(GROUPS.get(word, (word,)))
    return list(dict.fromkeys(names))


if __name__ == "__main__":
    sys.exit(main())
