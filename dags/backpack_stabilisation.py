"""Airflow DAG: phase 4, the long watch."""

from feed_migration.orchestration.dag_factory import migration_dag

DOC = """
# Phase 4: stabilisation

Watches the whole fleet on the native feed. The wait is deferred: it holds no worker slot and
survives the restart of every Airflow component. Needs the cutover promoted.

**Before you start.** All instances run native. Do not deploy and do not change the plan until it ends.

**What you see.** One gate that waits for a day in production. Health, websocket errors and what
consumers feel are shares and rates here: one bad check is no breach, a budget that burns too fast is.
What is wrong at once is a breach here, too: a refused signature, a message dropped, a trade lost, a
stale book, a private channel gone.

**When it holds.** Usually too little was seen (`min_coverage`) or the time ran out between good and
bad. The fleet stays on native and is watched. Read the reasons; clear the gate with what follows it
for another day, or trigger `backpack_rollback`.

**When it rolls back.** The whole fleet goes back to ccxt. Wait for *BACK ON CCXT*, read the incident.

Next: `backpack_post_migration`.
"""

dag = migration_dag("backpack_stabilisation", DOC, "stabilisation")
