"""Airflow DAG: phase 2, the native feed read-only beside the ccxt feed."""

from feed_migration.orchestration.dag_factory import migration_dag

DOC = """
# Phase 2: shadow

Both feeds run side by side without sinks; every trade and book is compared, health is watched.
Needs the dry run promoted.

**Before you start.** Markets are as busy as they usually are: in a quiet one too little is compared,
and the gate waits for more.

**What you see.** The shadow instances start, then the gate waits deferred for at least its shortest
duration (hover the group). Disagreements with examples are on the migration's page under *Parity*.

**When it holds.** `parity_*_compared`: one feed delivers nothing, or the market is quiet. Blind
criteria: Prometheus does not see the shadows. Nothing is exposed, so take your time; then clear the
gate with what follows it.

**When it rolls back.** The venue itself says that native was wrong. The shadows are stopped, the fleet
was on ccxt all the time. Fix native, begin anew.

Next: `backpack_cutover`.
"""

dag = migration_dag("backpack_shadow", DOC, "shadow")
