"""A gate's trigger whose clock is in the test's hand."""

import threading
from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING

import pytest

from feed_migration.gates.record import GateStart, join_gate
from feed_migration.orchestration.place import Place
from feed_migration.plan.reader import load_plan

if TYPE_CHECKING:
    from tests.airflow.conftest import Stage


class Clock:
    """What time it is at Prometheus; `stepped` is how far that was set, which the monotonic was not."""

    def __init__(self, now: float = 1_790_000_000.0) -> None:
        self.now, self.stepped = now, 0.0

    def steps(self, seconds: float) -> None:
        self.now += seconds
        self.stepped += seconds

    def monotonic(self) -> float:
        return self.now - self.stepped

    def __call__(self) -> float:
        return self.now


def begun(stage: "Stage", place: Place) -> GateStart:
    """A run of the gate of the step of 50 %, from the time that a `Clock` begins with."""
    plan = load_plan(place.plan_path)
    journal = stage.journal
    migration_id = journal.begin_migration(plan.name, plan.sha256, "ann", steps=plan.steps)
    return join_gate(
        journal,
        migration_id=migration_id,
        step="cutover-50",
        key="dag/run#0",
        actor="ann",
        started_unix=1_790_000_000.0,
    )


def trigger_of(
    place: Place, start: GateStart, clock: Clock, told: Callable[[], float] | None = None
):
    from feed_migration.orchestration.gate_trigger import GateTrigger

    return GateTrigger(
        place=place,
        start=asdict(start),
        settle_seconds=0.0,
        clock=told or clock,
        monotonic=clock.monotonic,
        # the triggerer's own host is stepped by nobody
        host_clock=clock.monotonic,
    )


def ticked(trigger, clock: Clock):
    """Return a trigger that has judged its first tick, and found no verdict in it."""
    clock.now += 0.2
    assert trigger.poll() is None
    return trigger


def ticks(stage: "Stage", start: GateStart) -> list[float]:
    """The ticks that were measured."""
    rows = stage.journal.measurements(start.migration_id, start.step, start.run)
    return sorted({row.tick_seconds for row in rows})


async def driven(trigger, clock: Clock):
    """Run the trigger while its clock moves a second per pause."""
    import asyncio

    real_sleep, here = asyncio.sleep, threading.get_ident()

    async def sleep(seconds: float) -> None:
        if threading.get_ident() != here:
            # a server of another test, in a loop of its own
            await real_sleep(seconds)
            return
        clock.now += max(seconds, 0.5)
        await real_sleep(0)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(asyncio, "sleep", sleep)
        async for event in trigger.run():
            yield event
