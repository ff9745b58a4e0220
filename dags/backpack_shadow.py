"""Airflow DAG: phase 2, the native feed read-only beside the ccxt feed."""

from feed_migration.orchestration.dag_factory import migration_dag

DOC = """
# Phase 2: shadow

Both feeds run side by side without sinks; every trade and book is compared, health is watched.
Needs the dry run promoted.
"""

dag = migration_dag("backpack_shadow", DOC, "shadow")
