"""Airflow DAG: the way back, asked for by a person."""

from feed_migration.orchestration.dag_factory import rollback_dag

DOC = """
# Put every instance back on the ccxt feed

Takes back the active migration, or just the fleet if there is none: flag off, restart, verify that
ccxt data flows on every instance, write the incident down. Green when that is verified. A migration
that is under way at the time ends failed. Safe to run at any moment, and more than once.
"""

dag = rollback_dag("backpack_rollback", DOC)
