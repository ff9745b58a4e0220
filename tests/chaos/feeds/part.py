"""The trials of feeds as a part of `make chaos`."""

from backpack_sandbox.truth.findings import Findings, Kind
from tests.chaos.feeds.run import figures, run_seeds
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
    return Found(fields, kept=not fields["feed_trials_failed"])
