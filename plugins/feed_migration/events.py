"""Events of the journal: what may happen in a migration, and the shape of each body. Pure.

migration_started    plan, plan_sha256, epoch, run_key,
                     steps: [{name, phase, percent, approval, gated}],
                     audit (2: every event has a head, every measurement a seal),
                     fleet: {kind, kubernetes?, instances: [{id, url, config}],
                     shadow_instances: the same}
step_started         step, run, phase?
act_intended         act (set_variant, start_shadow, stop_shadow), step, variant, instances, epoch
act_confirmed        the same
verdict              step, run, decision, at_seconds (of the gate, by Prometheus's clock),
                     breach_at? (unix seconds of who judged; of older versions Prometheus's),
                     reasons: [{criterion, text, value, threshold, series, query}],
                     measured? {seals, hash} (the last seal of the run's measurements)
approval             step, decision (Approve, Reject, Unanswered: nobody did in time, or Promote: a
                     person overrides the gate), reason
step_promoted        step, run?
held                 step, reason
rollback_started     reason, epoch, breach_at, instances: {id: variant}, logs: {id: [line]}
rollback_act         act, state (intended, confirmed), epoch, instances,
                     reason? (of who joined a rollback that another had begun)
rollback_verified    instances: {id: variant}, gone: [id] (were exposed, do not exist any more),
                     breach_at, breach_to_rollback_seconds, breached
incident_documented  path, marker
migration_finished   outcome (promoted, held, rolled_back)
audit_note           anything; `note` says of what kind: `measured` now and then of an open gate,
                     with step, run, measured
"""

import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

# the kind of audit note of what a rollback had to spool and others had proven meanwhile
SPOOLED = "spooled"
# the kind of audit note that names instances which a rollback cannot prove on ccxt
UNPROVEN = "unproven"


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


# A body may be of another version, or written by hand: each of these takes anything at all.


def body_epoch(body: Mapping[str, Any]) -> int:
    """Return the fencing epoch of a body, 0 where it has none that means anything."""
    value = body_number(body, "epoch")
    return int(value) if value is not None else 0


def body_number(body: Mapping[str, Any], key: str) -> float | None:
    """Return the finite number under `key`, None where there is none."""
    with suppress(TypeError, ValueError, OverflowError):
        value = float(body[key]) if key in body else math.nan
        return value if math.isfinite(value) else None
    return None


def body_names(body: Mapping[str, Any], key: str = "instances") -> tuple[str, ...]:
    """Return the names in a list, or the keys of a mapping."""
    value = body.get(key)
    if isinstance(value, str) or not isinstance(value, Sequence | Mapping):
        return ()
    return tuple(name for name in value if isinstance(name, str))


def body_mapping(body: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    """Return the mapping under `key`, empty where there is none."""
    value = body.get(key)
    return value if isinstance(value, Mapping) else {}


def body_mappings(body: Mapping[str, Any], key: str) -> tuple[Mapping[str, Any], ...]:
    """Return the mappings of the list under `key`."""
    value = body.get(key)
    if isinstance(value, str) or not isinstance(value, Sequence):
        return ()
    return tuple(entry for entry in value if isinstance(entry, Mapping))
