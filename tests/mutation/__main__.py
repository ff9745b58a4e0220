"""`python -m tests.mutation`: how many wrong judges the tests of the judge notice; JSON at the end.

Each mutant is judged by a forked process of its own; the first failing test kills it.
"""

import argparse
import importlib.util
import json
import os
import random
import signal
import sys
import time
import types
from collections.abc import Sequence
from pathlib import Path

import hypothesis  # noqa: F401 - imported once, for all forks
import pydantic  # noqa: F401
import pytest
import scipy.stats  # noqa: F401
import yaml  # noqa: F401

from tests.mutation.mutants import Mutant, mutants

ROOT = Path(__file__).parents[2]
_UNIT = "tests/unit/test_{}.py"
# those of the module first: the first failing test ends it
TESTS = {
    "judge": ("gates", "gate_replay"),
    "measuring": ("measuring", "gates", "comparing", "gate_replay"),
    "tracking": ("gates", "gate_replay", "comparing"),
    "comparing": ("comparing", "gates"),
    "significance": ("comparing",),
}
# Left out: they measure speed or chance, and nothing else.
SLOW = "not day_of_ticks and not a_a_runs"
DEADLINE_SECONDS = 90


def main(arguments: Sequence[str] | None = None) -> int:
    """Run, print each survivor and the sum; exit code 1 below `--goal`."""
    options = _options(arguments)
    work = [
        (module, mutant)
        for module in options.modules.split(",")
        for mutant in mutants(_path(module).read_text())
    ]
    if options.sample and options.sample < len(work):
        work = random.Random(options.seed).sample(work, options.sample)
    began = time.monotonic()
    for module in TESTS:
        if _all_killed([(module, Mutant(0, "", _path(module).read_text()))], 1) != [False]:
            print(f"the tests fail without any mutant in {module}.py")  # noqa: T201
            return 2
    killed = _all_killed(work, options.jobs)
    survivors = [
        f"{module}.py:{mutant.line}: {mutant.change}"
        for (module, mutant), dead in zip(work, killed, strict=True)
        if not dead
    ]
    share = sum(killed) / len(work)
    result = {
        "mutants": len(work),
        "killed": sum(killed),
        "kill_share": round(share, 4),
        "seconds": round(time.monotonic() - began, 1),
        "survivors": survivors,
    }
    print(json.dumps(result, indent=2))  # noqa: T201
    return 0 if share >= options.goal else 1


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make mutation", description=__doc__)
    parser.add_argument("--modules", default=",".join(TESTS))
    parser.add_argument("--sample", type=int, default=0, help="so many of all, at random")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--goal", type=float, default=0.9)
    return parser.parse_args(arguments)


def _path(module: str) -> Path:
    return ROOT / "plugins" / "feed_migration" / "gates" / f"{module}.py"


def _all_killed(work: Sequence[tuple[str, Mutant]], jobs: int) -> list[bool]:
    """Whether a test fails with each mutant in its module's place; one that hangs is dead too."""
    killed = [False] * len(work)
    running: dict[int, int] = {}
    for index, (module, mutant) in enumerate(work):
        if len(running) == jobs:
            _reap(running, killed)
        child = os.fork()
        if child == 0:
            _judge(module, mutant)
        running[child] = index
    while running:
        _reap(running, killed)
    return killed


def _reap(running: dict[int, int], killed: list[bool]) -> None:
    child, status = os.wait()
    index = running.pop(child)
    killed[index] = status != 0
    if index % 50 == 49:
        print(f"{index + 1} of {len(killed)}", file=sys.stderr)  # noqa: T201


def _judge(module: str, mutant: Mutant) -> None:
    """In the fork: put the mutant in, run the tests, leave with their exit code."""
    code = 1
    try:
        signal.alarm(DEADLINE_SECONDS)
        sink = os.open(os.devnull, os.O_WRONLY)
        os.dup2(sink, 1)
        os.dup2(sink, 2)
        os.chdir(ROOT)
        _install(f"feed_migration.gates.{module}", mutant.source)
        options = ["-x", "-q", "-p", "no:cacheprovider", "--no-header", "-W", "ignore", "-k", SLOW]
        code = int(pytest.main([*options, *map(_UNIT.format, TESTS[module])]))
    finally:
        os._exit(code)


def _install(name: str, source: str) -> None:
    """The module of that name is the mutant, whoever imports it."""
    spec = importlib.util.spec_from_loader(name, loader=None)
    assert spec
    changed = types.ModuleType(name)
    changed.__spec__ = spec
    sys.modules[name] = changed
    exec(compile(source, name, "exec"), changed.__dict__)  # noqa: S102 - a mutant has no file


if __name__ == "__main__":
    sys.exit(main())
