"""The trials of feeds as a part of `make chaos`."""

from collections.abc import Sequence

from backpack_sandbox.truth.findings import Findings, Kind
from tests.chaos.feeds.run import figures, run_seeds
from tests.chaos.feeds.trial import Outcome
from tests.chaos.part import Asked, Found, tell


def attack_feeds(asked: Asked) -> Found:
    """One trial per seed."""
    # a trial waits more than it works
    outcomes = run_seeds(asked.seeds, 2 * asked.jobs, asked.folder, report=tell)
    tell(figures(outcomes))
    found = Findings()
    for outcome in outcomes:
        found.merge(outcome.findings)
    fields = {
        "feed_trials": len(outcomes),
        "feed_kills": sum(outcome.kills for outcome in outcomes),
        "feed_faults": sum(outcome.faults for outcome in outcomes),
        "feed_trades_compared": found.trades,
        "feed_trades_lost": found.counts[Kind.MISSING],
        "feed_trades_repeated": found.counts[Kind.REPEATED],
        "feed_levels_compared": found.levels,
        "feed_levels_wrong": found.counts[Kind.WRONG_LEVELS],
        "feed_trials_failed": [outcome.seed for outcome in outcomes if not outcome.right],
    }
    return Found(fields, complaints(outcomes))


def complaints(outcomes: Sequence[Outcome]) -> list[str]:
    """Why the promise is broken, or was not put to the proof."""
    wrong = [f"seed {one.seed} went wrong" for one in outcomes if not one.right]
    sums = {
        "trade was compared": sum(one.findings.trades for one in outcomes),
        "level of a book was compared": sum(one.findings.levels for one in outcomes),
        "feed was killed": sum(one.kills for one in outcomes),
        "fault was begun": sum(one.faults for one in outcomes),
    }
    return wrong + [f"no {what}" for what, count in sums.items() if not count]
