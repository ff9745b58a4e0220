"""Airflow DAG: phase 1, flag on in the sandbox."""

from feed_migration.orchestration.dag_factory import migration_dag

DOC = """
# Phase 1: dry run

The native feed's integration tests and a signed request with the deployment's credentials. Nothing
of the fleet is touched. Begins a migration if none is active.
"""

dag = migration_dag("backpack_dry_run", DOC, "preflight", "dry_run")
