"""A migration that a person starts phase by phase, each by its own DAG."""

from collections.abc import Mapping

import pytest

from feed_migration.phases import MigrationState, Status
from tests.airflow.conftest import Stage

PHASES = ("dry_run", "shadow", "cutover", "stabilisation", "post_migration")


def test_the_last_phase_leaves_a_promoted_fleet_where_it_is(stage: Stage):
    """Every run is green, every instance stays on native, and nothing was ever taken back."""
    ends = {phase: stage.run(f"backpack_{phase}", reason="a test") for phase in PHASES}
    assert ends == dict.fromkeys(PHASES, "success")
    state = stage.journal.state(stage.journal.latest_migration())
    assert state.status == Status.PROMOTED
    assert sorted(stage.natives) == stage.fleet.names
    assert "rollback_started" not in stage.kinds()


@pytest.mark.parametrize(("last", "end"), [("stabilisation", "keep"), ("shadow", "revert")])
def test_a_failed_report_moves_a_fleet_only_without_its_proof(last: str, end: str):
    """What the last phase's own run cannot prove, the steps before it do, or do not."""
    from feed_migration.orchestration.rollback_operators import ending

    names = ("shadow", "cutover-100", "stabilisation", "post_migration")
    facts: tuple[Mapping[str, object], ...] = tuple(
        {"name": name, "phase": name.partition("-")[0]} for name in names
    )
    promoted = names[: names.index(last) + 1]
    state = MigrationState(status=Status.RUNNING, steps=facts, promoted=promoted)
    assert ending(state, ("post_migration",)) == end
