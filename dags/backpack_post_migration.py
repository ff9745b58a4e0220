"""Airflow DAG: phase 5, evidence and clean-up list."""

from feed_migration.orchestration.dag_factory import migration_dag

DOC = """
# Phase 5: post-migration

Writes the report and closes the migration. Needs the stabilisation promoted.
"""

dag = migration_dag("backpack_post_migration", DOC, "post_migration")
