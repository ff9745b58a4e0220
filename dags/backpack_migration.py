"""Airflow DAG: the whole runbook, from preflight to the report."""

from feed_migration.orchestration.dag_factory import migration_dag

DOC = """
# Move the fleet from the ccxt feed to the native one

Phases: preflight, dry run, shadow, cutover step by step, stabilisation, report. Every step after
the dry run ends with a gate; a breach at any point puts the whole fleet back on ccxt, and the run
ends **failed**. A run on top of a held migration continues where the journal says it is.

* *Mark the run failed* to take everything back by hand.
* *Mark a gate success* changes nothing: only the journal promotes.
* Clear a held gate together with what follows it to watch that step anew.
"""

dag = migration_dag("backpack_migration", DOC)
