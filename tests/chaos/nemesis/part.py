"""The nemesis as a part of `make chaos`."""

import json
import shutil
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from tests.chaos.nemesis.check import Trades
from tests.chaos.nemesis.ends import deck_faults
from tests.chaos.nemesis.plan import DECK, make_trial
from tests.chaos.nemesis.stage import Stage, staged
from tests.chaos.nemesis.trial import Outcome, run_trial
from tests.chaos.part import Asked, Found, tell

KEPT = ("logs", "tapes", "guard", "docs", "airflow/logs")


def attack_nemesis(asked: Asked) -> Found:
    """One trial per seed, all on one deployment."""
    outcomes: list[Outcome] = []
    with staged(tell) as stage:
        for seed in asked.seeds:
            before = outcomes[-1].trades if outcomes else Trades()
            outcomes.append(run_trial(stage, make_trial(seed), before))
            tell(outcomes[-1])
            if outcomes[-1].wrong:
                keep(stage, outcomes[-1], asked.folder / f"nemesis-{seed}")
    return judged(outcomes)


def judged(outcomes: Sequence[Outcome]) -> Found:
    """Each trial by itself, and of a whole deck all of them together."""
    wrong = deck_faults(
        [one.status for one in outcomes],
        {strike.kind for one in outcomes for strike in one.trial.strikes},
        _struck(outcomes),
        whole=len(outcomes) >= len(DECK),
    )
    wrong += [f"seed {one.trial.seed}: {what}" for one in outcomes for what in one.wrong]
    return Found(figures(outcomes), wrong)


def figures(outcomes: Sequence[Outcome]) -> dict[str, object]:
    """The fields of the summary."""
    last = outcomes[-1].trades if outcomes else Trades()
    strikes = _struck(outcomes)
    dealt = {strike.kind for one in outcomes for strike in one.trial.strikes}
    return {
        "nemesis_trials": len(outcomes),
        "nemesis_gone_wrong": sum(bool(one.wrong) for one in outcomes),
        "nemesis_illegal_end_states": sum(one.illegal_end for one in outcomes),
        "nemesis_ends": dict(sorted(Counter(one.status for one in outcomes).items())),
        "nemesis_strikes": dict(sorted(strikes.items())),
        "nemesis_never_struck": sorted(dealt - set(+strikes)),
        "nemesis_trades_compared": last.compared,
        "nemesis_trades_lost": len(last.lost),
        "nemesis_trades_repeated": len(last.repeated),
        "nemesis_trades_wrong": len(last.wrong),
    }


def _struck(outcomes: Sequence[Outcome]) -> Counter[str]:
    return sum((one.struck for one in outcomes), Counter())


def keep(stage: Stage, outcome: Outcome, folder: Path) -> None:
    """Leave the evidence of a trial in `folder`: journal, diary, logs and tapes, and no secret."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    lines = [json.dumps(vars(event), default=str) for event in stage.journal.events()]
    (folder / "journal.jsonl").write_text("\n".join(lines) + "\n")
    told = [str(outcome), *map(str, outcome.trial.strikes), *outcome.diary]
    (folder / "trial.txt").write_text("\n".join(told) + "\n")
    for name in KEPT:
        # logs and tapes are written to while they are copied
        with suppress(shutil.Error, FileNotFoundError):
            shutil.copytree(stage.home / name, folder / name)
