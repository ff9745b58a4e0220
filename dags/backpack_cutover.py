"""Airflow DAG: phase 3, the flag is flipped share by share."""

from feed_migration.orchestration.dag_factory import migration_dag

DOC = """
# Phase 3: cutover

At each share of the fleet: flip the flag, restart, wait until ready, then a gate. A breach puts
every instance back on ccxt. Needs the shadow phase promoted.
"""

dag = migration_dag("backpack_cutover", DOC, "cutover")
