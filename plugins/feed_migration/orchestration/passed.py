"""Asset events: each phase that the journal calls passed, for other people's DAGs to hang on.

Ours hang on none of them: events queue, and a promotion is a decision of the moment. They are given
through an alias, so that a task which succeeds without having passed anything gives none.
"""

from collections.abc import Mapping
from typing import Any

from airflow.sdk import Asset, AssetAlias

from feed_migration.phases import MigrationState


def outlet(phase: str) -> AssetAlias:
    """Return what a task that may pass `phase` has among its outlets."""
    return AssetAlias(f"backpack_{phase}")


def asset_of(phase: str) -> Asset:
    """Return the asset that has an event per migration that passed `phase`."""
    return Asset(f"backpack_{phase}_passed")


def announce(context: Mapping[str, Any], state: MigrationState, step: str, actor: str) -> bool:
    """Give the event of the phase of `step` if that was its last step; returns whether it did.

    `extra` of the event has `migration_id`, `phase`, `step` and `actor`.
    """
    phase = str(state.step_facts(step).get("phase") or "")
    steps = {str(facts.get("name")) for facts in state.steps if facts.get("phase") == phase}
    events = context.get("outlet_events")
    if events is None or not phase or not steps <= set(state.promoted):
        return False
    extra = {"migration_id": state.migration_id, "phase": phase, "step": step, "actor": actor}
    events[outlet(phase)].add(asset_of(phase), extra=extra)
    return True
