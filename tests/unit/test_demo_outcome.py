"""The demo exits 0 only when what should happen, happened."""

from dataclasses import replace

import pytest

from tools.demo.outcome import Outcome

PROMOTED = Outcome(
    outcome="promoted",
    expected="promoted",
    phase="post_migration",
    step="post_migration",
    fault=None,
    fault_injected=False,
    instances={"native": 10},
    ready_instances=10,
    trades_published=100,
    trades_missing=0,
    trades_duplicated=0,
    trades_altered=0,
    breach_to_rollback_s=None,
    dag_run_state="success",
    audit_ok=True,
    incident_documented=False,
    wall_s=200.0,
)
ROLLED_BACK = replace(
    PROMOTED,
    outcome="rolled_back",
    expected="rolled_back",
    phase="cutover",
    step="cutover-50",
    fault="gap",
    fault_injected=True,
    instances={"ccxt": 10},
    breach_to_rollback_s=12.0,
    dag_run_state="failed",
    incident_documented=True,
)


def test_promotion_and_rollback_are_as_expected_when_whole():
    """The two endings that the demo is for."""
    assert PROMOTED.surprises == ()
    assert ROLLED_BACK.surprises == ()


@pytest.mark.parametrize(
    ("outcome", "change"),
    [
        (PROMOTED, {"outcome": "held"}),
        (PROMOTED, {"instances": {"native": 9, "ccxt": 1}}),
        (PROMOTED, {"instances": {"native": 9, "unknown": 1}}),
        (PROMOTED, {"ready_instances": 9}),
        (PROMOTED, {"trades_published": 0}),
        (PROMOTED, {"trades_missing": 1}),
        (PROMOTED, {"trades_duplicated": 1}),
        (PROMOTED, {"trades_altered": 1}),
        (PROMOTED, {"dag_run_state": "failed"}),
        (PROMOTED, {"audit_ok": False}),
        (PROMOTED, {"breach_to_rollback_s": 3.0}),
        (ROLLED_BACK, {"fault_injected": False}),
        (ROLLED_BACK, {"step": "dry_run"}),
        (ROLLED_BACK, {"breach_to_rollback_s": None}),
        (ROLLED_BACK, {"incident_documented": False}),
        (ROLLED_BACK, {"dag_run_state": "success"}),
        (ROLLED_BACK, {"instances": {"ccxt": 9, "native": 1}}),
    ],
)
def test_each_departure_is_a_surprise(outcome, change):
    """A rollback of its own accord is no answer to a fault, and half a fleet is no fleet."""
    assert not replace(outcome, **change).as_expected
