"""What a task tells before it ends, however it ends; its process is gone right behind."""

import time
from contextlib import suppress

import pytest
from airflow.sdk.exceptions import AirflowFailException, TaskDeferred

from feed_migration.journal.notice_ledger import Stage
from feed_migration.orchestration import telling as tellings
from feed_migration.orchestration.place import current_place
from feed_migration.orchestration.telling import HeldFailure, telling
from tests.airflow.conftest import Stage as AirflowStage
from tests.airflow.test_notices import hooked, web
from tests.support.conditions import eventually_sync
from tests.support.migration_plans import begin

__all__ = ["hooked", "web"]


def ends_with(stage: AirflowStage, error, wait=lambda: True) -> tuple[str, float]:
    """Begin a migration in a task that ends with `error`; return its id and how long that took."""
    began = 0.0
    with suppress(type(error)), telling(current_place()):
        migration_id = begin(stage.journal)
        eventually_sync(wait)
        began = time.monotonic()
        raise error
    return migration_id, time.monotonic() - began


@pytest.mark.parametrize(
    "parting",
    [
        TaskDeferred(trigger=None, method_name="resume", timeout=None),
        HeldFailure("held, the exposure stays as it is"),
    ],
    ids=["parked", "held"],
)
def test_who_is_parked_or_holds_tells_before_the_end(hooked: AirflowStage, web, parting):
    """No callback and no next task comes for hours: the last event is told by who wrote it."""
    web.slow_seconds = 1.0
    ends_with(hooked, parting)
    assert [body["title"] for body in web.bodies] == ["Migration begun"]


def test_a_channel_that_hangs_parks_a_gate_a_bounded_time_later(
    hooked: AirflowStage, web, monkeypatch
):
    """The promise that a question to a person has."""
    monkeypatch.setattr(tellings, "PARTING_SECONDS", 0.5)
    web.hangs.set()
    _, seconds = ends_with(hooked, HeldFailure("held"))
    assert seconds < 4.5


def test_a_failure_waits_for_no_channel(hooked: AirflowStage, web):
    """The way back may stand behind it."""
    web.hangs.set()
    migration_id, seconds = ends_with(
        hooked, AirflowFailException("refused"), lambda: bool(web.paths)
    )
    assert seconds < 4.5
    rows = hooked.journal.notice_ledger().attempts(migration_id).values()
    assert [row.stage for of_one in rows for row in of_one] == [Stage.CLAIMED]
