"""`python -m tests.chaos [PART ...]`: attacks on all that is promised, and what they found.

Seeds decide what happens. A failure names the command that runs it alone; what it left stays in the
folder. Each part puts its figures into summary.json there. Exit code 1 if a promise is broken.
"""

import argparse
import os
import sys
import time
import traceback
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from tests.chaos.part import Asked, Found, Part, tell
from tests.chaos.parts import PARTS
from tests.chaos.summary import merge

FOLDER = Path(__file__).resolve().parents[2] / "var" / "chaos"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the parts one after the other; 0 when every promise was kept."""
    options = _parser().parse_args(arguments)
    names = list(PARTS) if "all" in options.parts else options.parts
    kept = [_run(name, PARTS[name], options) for name in names]
    return 0 if all(kept) else 1


def _run(name: str, part: Part, options: argparse.Namespace) -> bool:
    asked = Asked(
        count=options.count or part.count,
        seed=options.seed,
        jobs=options.jobs,
        folder=options.folder,
        only=options.only,
    )
    tell(f"{name}: {asked.count} {part.what}; make chaos PART={name} SEED={asked.seed}")
    began, at = time.monotonic(), datetime.now(UTC).isoformat(timespec="seconds")
    try:
        found = part.attack(asked)
    except Exception as error:  # noqa: BLE001 - a part that breaks must not spare those behind it
        tell(traceback.format_exc())
        found = Found({}, [f"it broke off: {type(error).__name__}: {error}"])
    for reason in found.wrong:
        tell(f"  WRONG: {reason}")
    run = {"at": at, "seed": asked.seed, "count": asked.count, "only": asked.only}
    merge(asked.folder, name, found.fields, {**run, "kept": found.kept})
    took = f"{time.monotonic() - began:.0f} s"
    tell(f"{name}: {'kept' if found.kept else 'BROKEN'}, {took}: {dict(found.fields)}")
    return found.kept


def _parser() -> argparse.ArgumentParser:
    listed = "; ".join(f"{name}: {part.count} {part.what}" for name, part in PARTS.items())
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument(
        "parts", nargs="*", choices=[*PARTS, "all"], default="all", metavar="PART", help=listed
    )
    parser.add_argument("--count", type=int, help="of each part, in place of what stands there")
    parser.add_argument("--seed", type=int, default=1, help="the first")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="side by side")
    parser.add_argument("--only", default="", help="one place of a part that has several")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="for the summary and evidence")
    return parser


if __name__ == "__main__":
    sys.exit(main())
