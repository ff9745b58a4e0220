"""Runs cycles one after the other on one fleet, and compares at the end."""

import shutil
import signal
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from backpack_sandbox.truth.findings import Findings, Kind
from feed_migration.model import Plan, Step
from feed_migration.phases import Status
from tests.chaos.actor import End
from tests.chaos.cycles import acts
from tests.chaos.cycles.check import (
    caught_up,
    check_audit,
    check_epochs,
    check_exposed,
    check_fleet,
    check_rolled_back,
    check_tapes,
    listening,
    native_trades,
)
from tests.chaos.cycles.driver import Act, drive
from tests.chaos.cycles.nemesis import ACT_SECONDS, Nemesis
from tests.chaos.cycles.plan import Cycle, Strike, make_cycle
from tests.chaos.cycles.stage import SIZE, Stage, staged
from tests.support.conditions import eventually_sync

ATTEMPTS = 5
RETRIED = {
    "killed",
    "FleetUnavailable",
    "InstanceStuck",
    "FleetBusy",
    "NotReady",
    "RollbackUnverified",
    "StaleEpoch",
}
"""Ends after which a task is tried again; any other is a fault of the product."""


MANY_CYCLES = 100
"""Among so many there is each of `STRUCK`, whatever the seeds."""
STRUCK = ("drivers_killed", "feeds_killed", "supervisord_killed", "venue_faults")


@dataclass
class Outcome:
    """What was done to the fleet and what became of its trades."""

    seed: int
    cycles: int = 0
    findings: Findings = field(default_factory=Findings)
    done: Counter[str] = field(default_factory=Counter)
    native_trades: int = 0
    seconds: float = 0.0
    error: str = ""

    @property
    def right(self) -> bool:
        """Nothing lost or repeated, and the journal told the truth at every turn."""
        return not self.wrong

    @property
    def wrong(self) -> list[str]:
        """Why not, in plain sentences; zeros prove nothing where nothing was done or compared."""
        done, counts = self.done, self.findings.counts
        wrong = [f"{count} trades {kind}" for kind, count in counts.items() if count]
        if self.error:
            wrong.append(f"the run broke off: {self.error.strip().rpartition('\n')[2]}")
        if not 0 < self.cycles <= done["migrations"]:
            wrong.append(f"{done['migrations']} migrations began in {self.cycles} cycles")
        if done["rollbacks"] != done["migrations"]:
            wrong.append(f"{done['rollbacks']} of {done['migrations']} migrations were taken back")
        if not self.findings.trades:
            wrong.append("no trade was compared")
        if self.cycles >= MANY_CYCLES:
            if not self.native_trades:
                wrong.append("no trade came from a native feed")
            wrong += [f"{what}: none" for what in STRUCK if not done[what]]
        return wrong

    def fields(self) -> dict[str, Any]:
        """As the summary has it."""
        counts = self.findings.counts
        return {
            "cycles": self.cycles,
            # a run that breaks off compares nothing, so its zeros prove nothing
            "cycles_gone_wrong": int(bool(self.error)),
            "trades_compared": self.findings.trades,
            "trades_native": self.native_trades,
            "trades_lost": counts[Kind.MISSING],
            "trades_repeated": counts[Kind.REPEATED],
            "trades_wrong": sum(
                counts[kind] for kind in (Kind.OUT_OF_ORDER, Kind.ALTERED, Kind.INVENTED)
            ),
            "cycles_done": dict(sorted(self.done.items())),
            "cycles_seconds": round(self.seconds, 1),
            "cycles_seed": self.seed,
        }


def run_cycles(
    seeds: Sequence[int], folder: Path, report: Callable[[str], None] = lambda _line: None
) -> Outcome:
    """Run the cycle of every seed; what a failure leaves behind goes to `folder`."""
    outcome = Outcome(seeds[0])
    began = time.monotonic()
    with staged(seeds[0]) as stage:
        try:
            _Run(stage, outcome, report).run(seeds)
        except Exception:  # noqa: BLE001 - a run that breaks is a result, with its seed
            outcome.error = traceback.format_exc()
        if not outcome.right:
            _keep(stage.home, folder / f"cycles-{seeds[0]}")
    outcome.seconds = time.monotonic() - began
    return outcome


class _Run:
    def __init__(self, stage: Stage, outcome: Outcome, report: Callable[[str], None]) -> None:
        self._stage, self._outcome, self._report = stage, outcome, report
        self._nemesis = Nemesis(stage, outcome.done)
        self._promoted = ""

    def run(self, seeds: Iterable[int]) -> None:
        listening(self._stage)
        for seed in seeds:
            began = time.monotonic()
            cycle = make_cycle(seed, SIZE)
            try:
                self._cycle(cycle)
            except BaseException:
                self._report(f"cycle {seed}: WRONG: {cycle}")
                self._report(f"  again: make chaos PART=cycles SEED={seed} ARGS=--count=1")
                raise
            self._outcome.cycles += 1
            self._report(f"cycle {seed}: right, {time.monotonic() - began:.1f} s")
        if self._promoted:
            self._take_back(self._promoted, ())
        caught_up(self._stage)
        self._stage.end()
        self._outcome.findings = check_tapes(self._stage)
        self._outcome.native_trades = native_trades(self._stage)

    def _cycle(self, cycle: Cycle) -> None:
        journal = self._stage.hands.journal
        if self._promoted:
            self._take_back(self._promoted, cycle.before)
            self._promoted = ""
        plan = acts.plan_of(cycle.ramp)
        self._carry_out(acts.begin(plan, f"cycle-{cycle.seed}"), ())
        migration_id = journal.active_migration() or ""
        self._outcome.done["migrations"] += 1
        for step, strikes in zip(plan.steps, cycle.forward, strict=True):
            last = step is plan.steps[-1]
            if last and cycle.zombie:
                self._overtaken(plan, step, migration_id)
                return
            self._carry_out(acts.forward(plan, step, migration_id), strikes)
            check_fleet(self._stage, journal.state(migration_id))
            check_exposed(journal.state(migration_id), self._stage.names, step.percent or 0)
            if not last or cycle.promoted:
                self._carry_out(acts.prove(plan, step, migration_id), ())
        if cycle.promoted:
            self._carry_out(acts.finish(migration_id), ())
            assert journal.state(migration_id).status is Status.PROMOTED
            self._outcome.done["promotions"] += 1
            self._promoted = migration_id
        else:
            self._take_back(migration_id, cycle.back)
            self._refused(acts.forward(plan, plan.steps[-1], migration_id))
        check_audit(self._stage)
        check_epochs(self._stage)

    def _take_back(self, migration_id: str, strikes: Sequence[Strike]) -> None:
        self._carry_out(acts.take_back(migration_id), strikes)
        check_rolled_back(self._stage, migration_id)
        self._outcome.done["rollbacks"] += 1

    def _carry_out(self, act: Act, strikes: Sequence[Strike]) -> None:
        """Do it under `strikes`, then in peace, until one actor has done it."""
        ends: list[End] = []
        for attempt in range(ATTEMPTS):
            now = self._nemesis.attend(act, strikes if attempt == 0 else ())
            ends += now
            wrong = [end for end in now if not end.done and end.refusal not in RETRIED]
            assert not wrong, wrong
            # of two at once the one that failed leaves nothing for the other to say
            if now[-1].done and all(end.done for end in now):
                return
            self._outcome.done["retries"] += 1
        raise AssertionError(ends)

    def _overtaken(self, plan: Plan, step: Step, migration_id: str) -> None:
        """A forward step is stopped in the middle, and wakes up after the rollback."""
        zombie = drive(self._stage.home, acts.forward(plan, step, migration_id))
        journal = self._stage.hands.journal
        eventually_sync(
            lambda: journal.state(migration_id).pending_act is not None or not zombie.alive,
            ACT_SECONDS,
        )
        stopped = zombie.signal(signal.SIGSTOP)
        self._outcome.done["actors_overtaken"] += stopped
        try:
            self._take_back(migration_id, ())
        finally:
            with suppress(ProcessLookupError):
                zombie.signal(signal.SIGCONT)
        end = zombie.end(ACT_SECONDS)
        assert end.done or end.refusal in {"StaleEpoch", "MigrationNotRunning", "NotReady"}, end
        check_rolled_back(self._stage, migration_id)

    def _refused(self, act: Act) -> None:
        (end,) = self._nemesis.attend(act, ())
        assert end.refusal == "MigrationNotRunning", end


def _keep(home: Path, folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    with suppress(shutil.Error):
        shutil.copytree(home, folder, ignore=shutil.ignore_patterns("*.sock", "*.reserve", "*key*"))
