"""Many trials side by side, each in a process of its own, and the figures of all."""

import logging
import os
import shutil
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path

from backpack_sandbox.truth.findings import Findings
from backpack_sandbox.words import counted
from tests.chaos.feeds.trial import Outcome, run_seed

JOBS = 2 * (os.cpu_count() or 1)
"""A trial waits more than it works."""


def run_seeds(
    seeds: Iterable[int],
    jobs: int,
    folder: Path,
    report: Callable[[Outcome], None] = lambda _outcome: None,
) -> list[Outcome]:
    """Run every seed, `jobs` at a time in processes of their own."""
    outcomes = []
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        trials = [pool.submit(_run, seed, folder / f"seed-{seed}") for seed in seeds]
        for trial in as_completed(trials):
            outcomes.append(trial.result())
            report(outcomes[-1])
    return sorted(outcomes, key=lambda outcome: outcome.seed)


def figures(outcomes: Sequence[Outcome]) -> str:
    """One line of sums."""
    total = Findings()
    for outcome in outcomes:
        total.merge(outcome.findings)
    kills, switches, faults = (
        sum(getattr(outcome, name) for outcome in outcomes)
        for name in ("kills", "switches", "faults")
    )
    said = ", ".join(f"{count} {kind.replace('_', ' ')}" for kind, count in total.counts.items())
    failed = [outcome.seed for outcome in outcomes if not outcome.right]
    return (
        f"{counted(len(outcomes), 'seed')}, {counted(faults, 'fault')}, {counted(kills, 'kill')},"
        f" {switches} {'switch' if switches == 1 else 'switches'} of feed;"
        f" {total.trades} trades, {total.books} books with {total.levels} levels compared;"
        f" {said};"
        f" failed seeds: {failed or 'none'}"
    )


def _run(seed: int, folder: Path) -> Outcome:
    # what the feeds say of their troubles belongs to the troubles
    logging.disable(logging.CRITICAL)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    outcome = run_seed(seed, folder)
    if outcome.right:
        shutil.rmtree(folder)
    return outcome
