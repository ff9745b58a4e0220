"""Events of the journal: what may happen in a migration, and the shape of each body. Pure.

migration_started    plan, plan_sha256, epoch, run_key,
                     steps: [{name, phase, percent, approval, gated}]
step_started         step, run, phase?
act_intended         act (set_variant, start_shadow, stop_shadow), step, variant, instances, epoch
act_confirmed        the same
verdict              step, run, decision, at_seconds, breach_at? (unix seconds),
                     reasons: [{criterion, text, value, threshold, series, query}]
approval             step, decision (Approve, Reject, or Promote: a person overrides the gate),
                     reason
step_promoted        step, run?
held                 step, reason
rollback_started     reason, epoch, breach_at, instances: {id: variant}, logs: {id: [line]}
rollback_act         act, state (intended, confirmed), epoch, instances
rollback_verified    instances: {id: variant}, breach_at, breach_to_rollback_seconds
incident_documented  path, marker
migration_finished   outcome (promoted, held, rolled_back)
audit_note           anything
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class EventKind(StrEnum):
    """What happened."""

    MIGRATION_STARTED = "migration_started"
    STEP_STARTED = "step_started"
    ACT_INTENDED = "act_intended"
    ACT_CONFIRMED = "act_confirmed"
    VERDICT = "verdict"
    APPROVAL = "approval"
    STEP_PROMOTED = "step_promoted"
    HELD = "held"
    ROLLBACK_STARTED = "rollback_started"
    ROLLBACK_ACT = "rollback_act"
    ROLLBACK_VERIFIED = "rollback_verified"
    INCIDENT_DOCUMENTED = "incident_documented"
    MIGRATION_FINISHED = "migration_finished"
    AUDIT_NOTE = "audit_note"


@dataclass(frozen=True, kw_only=True)
class Event:
    """One line of the journal. `at` is unix seconds; `hash` covers all else and `prev_hash`."""

    seq: int
    at: float
    migration_id: str
    kind: str
    actor: str
    body: Mapping[str, Any]
    prev_hash: str
    hash: str
