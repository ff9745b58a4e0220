"""The breaches as a part of `make chaos`, beside what the defaults of others would take."""

import logging
from collections.abc import Sequence
from itertools import groupby
from typing import Any

from tests.chaos.breaches.plan import FLEET, Trial, make_trials
from tests.chaos.breaches.stage import staged
from tests.chaos.breaches.trial import Outcome, run_trial
from tests.chaos.part import Asked, Found, tell

GOAL_SECONDS = 15.0
# Of their documentation: analysis interval 1 m and threshold 10 (Flagger); failureLimit 0 and no
# default interval, an unreachable provider after 5 errors 10 s apart (Argo Rollouts). Both leave
# the exposure as it is while their controller is away.
OTHERS = {
    "Flagger": {"alive": "600 s", "dead": "never"},
    "Argo Rollouts": {"alive": "the next measurement; 40 to 50 s blind", "dead": "never"},
}


def attack_breaches(asked: Asked) -> Found:
    """`count` breaches with Airflow alive, and as many with it dead."""
    logging.disable(logging.CRITICAL)
    trials = make_trials(asked.seed, asked.count)
    if asked.only:
        trials = [trial for trial in trials if asked.only in {str(trial.percent), trial.airflow}]
    outcomes: list[Outcome] = []
    for percent, group in groupby(trials, key=lambda trial: trial.percent):
        outcomes += _on_one_stage(percent, list(group))
    fields = figures(outcomes)
    for line in _table(fields):
        tell(line)
    return Found(fields, complaints(outcomes))


def complaints(outcomes: Sequence[Outcome]) -> list[str]:
    """Why the promise is broken, or was not put to the proof: each breach ends right, and in time."""
    if not outcomes:
        return ["there was no breach"]
    wrong = [f"seed {one.trial.seed}: {what}" for one in outcomes for what in one.wrong]
    late = figures(outcomes)["breach_to_rollback_p99_s"].items()
    return wrong + [
        f"with Airflow {name} the way back took {seconds} s, more than {GOAL_SECONDS:g} s"
        for name, seconds in late
        if seconds > GOAL_SECONDS
    ]


def _on_one_stage(percent: int, trials: Sequence[Trial]) -> list[Outcome]:
    outcomes = []
    with staged(percent, tell) as stage:
        for trial in trials:
            outcomes.append(run_trial(stage, trial))
            tell(outcomes[-1])
    return outcomes


def figures(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """The fields of the summary: seconds by whether Airflow was alive, and by share exposed."""
    alive = [one for one in outcomes if one.trial.airflow == "alive"]
    kinds = {"alive": alive, "dead": [one for one in outcomes if one not in alive]}
    kinds = {name: group for name, group in kinds.items() if group}
    return {
        "breach_fleet": FLEET,
        "breaches": {name: len(group) for name, group in kinds.items()},
        "breaches_gone_wrong": sum(bool(one.wrong) for one in outcomes),
        **{
            f"breach_to_{what}_p{share}_s": {
                name: percentile([getattr(one, attribute) for one in group], share)
                for name, group in kinds.items()
            }
            for what, attribute in (("verdict", "verdict_seconds"), ("rollback", "back_seconds"))
            for share in (50, 99)
        },
        "breach_to_rollback_by_share_p99_s": {
            name: {
                str(percent): percentile([one.back_seconds for one in some], 99)
                for percent, some in _by_share(group).items()
            }
            for name, group in kinds.items()
        },
    }


def percentile(values: Sequence[float], share: int) -> float:
    """The nearest rank: of few values the 99th is the worst."""
    ordered = sorted(values)
    return round(ordered[max(0, -(-len(ordered) * share // 100) - 1)], 2)


def _by_share(outcomes: Sequence[Outcome]) -> dict[int, list[Outcome]]:
    shares = sorted({one.trial.percent for one in outcomes})
    return {share: [one for one in outcomes if one.trial.percent == share] for share in shares}


def _table(fields: dict[str, Any]) -> list[str]:
    lines = ["breach to every instance verified back, seconds: p50, p99 (verdict p50, p99)"]
    for name, count in fields["breaches"].items():
        said = [
            fields[f"breach_to_{what}_p{share}_s"][name]
            for what in ("rollback", "verdict")
            for share in (50, 99)
        ]
        ours = "{:.1f}, {:.1f} ({:.1f}, {:.1f})".format(*said)
        lines.append(f"  Airflow {name}, {count} breaches: {ours}")
        lines += [f"    {other} by its defaults: {told[name]}" for other, told in OTHERS.items()]
    return lines
