"""Airflow DAG: the way back, asked for by a person."""

from feed_migration.orchestration.dag_factory import rollback_dag

DOC = """
# ⚠ Put every instance back on the ccxt feed

Takes back the active migration, or just the fleet if there is none: flag off, restart, verify that
ccxt data flows on every instance, write the incident down. Green when that is verified. A migration
that is under way at the time ends failed, also where it waits for an answer. **Safe to run at any
moment, and more than once.**

**Before you start.** Nothing. If you wonder whether to, do. Say in the form what you have seen, and
tick the box: without it the run ends red at once and nothing happens.

**What you see.** *Back to ccxt* (seconds to a minute), *Write the incident down*, then the notice
*BACK ON CCXT*.

**When it does not get there.** The task tries again for minutes and its log names the instances that
miss. Is a DAG paused or the scheduler down? Airflow is not needed: `backpack-migrate rollback` on a
host of the fleet goes on where this ended.

From a script: `airflow dags trigger backpack_rollback --conf '{"reason": "…"}'`.
"""

dag = rollback_dag("backpack_rollback", DOC)
