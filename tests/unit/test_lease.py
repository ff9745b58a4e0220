"""The lease: as long as the act, the wait or the gate may take, and renewed before it runs out."""

from pathlib import Path

import pytest

from feed_migration.lease import HANDOVER_SECONDS, Lease, act_seconds
from feed_migration.plan.reader import load_plan

PLANS = Path(__file__).parents[2] / "plans"


def lease(at=1000.0, seconds=60.0):
    return Lease(migration_id="m", holder="gate cutover-10", renewed_at=at, seconds=seconds)


def test_it_is_renewed_at_a_quarter_of_its_length():
    """Three renewals may be lost before it runs out."""
    assert not lease().is_due(1000.0)
    assert not lease().is_due(1014.9)
    assert lease().is_due(1015.0)
    assert lease().expires_at == 1060.0


def test_a_clock_that_was_set_back_renews_at_once():
    """Else an hour back would be an hour without a renewal."""
    assert lease().is_due(999.9)


@pytest.mark.parametrize(("instances", "batches"), [(0, 0), (1, 1), (5, 1), (6, 2), (20, 4)])
def test_an_act_has_a_deadline_for_each_batch_and_one_to_spare(instances, batches):
    """Batches of five that take 60 s each; then the gate has the time of a handover to begin."""
    assert act_seconds(instances, 5, 60.0) == (batches + 1) * 60.0 + HANDOVER_SECONDS


def test_a_gate_without_one_has_the_length_of_its_blind_limit():
    """An exposure that nobody watches is blindness of another kind, borne as long."""
    plan = load_plan(PLANS / "demo.yaml")
    for step in plan.steps:
        if step.gate is not None:
            assert step.gate.lease_seconds == step.gate.blind_limit_seconds == 60.0
