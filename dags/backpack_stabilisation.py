"""Airflow DAG: phase 4, the long watch."""

from feed_migration.orchestration.dag_factory import migration_dag

DOC = """
# Phase 4: stabilisation

Watches the whole fleet on the native feed. The wait is deferred: it holds no worker slot and
survives the restart of every Airflow component. Needs the cutover promoted.
"""

dag = migration_dag("backpack_stabilisation", DOC, "stabilisation")
