"""Airflow DAG: phase 5, feedback, evidence and clean-up list."""

from feed_migration.orchestration.dag_factory import migration_dag

DOC = """
# Phase 5: post-migration

Asks the consumers that `deployment.yaml` names, writes the report with what they say, lists what
names ccxt in docs, fixtures and tests together with a patch, closes the migration and tells
everybody. Needs the stabilisation promoted.

**What you see.** One question per consumer under *Required Actions*: all well, yes or no, and a
remark. No answer within 24 h is recorded as *no answer* and stops nothing. Then *Report*.

**When a consumer says no.** It stops nothing: it stands first in the report and in the last notice.
Talk to them. `backpack_rollback` still takes the fleet back, also after the end.

**When it ends red.** The fleet stays where it is: every gate has promoted, and a report that could not
be written is no reason to move it. See the log, trigger this DAG again. *Mark the run failed* does not
take back here either, as every gate has promoted; `backpack_rollback` does.

The report, the list and the patch are in `$BACKPACK_HOME/docs/migrations/`. Nothing is removed by
itself: ccxt is the way back until somebody decides otherwise.
"""

dag = migration_dag("backpack_post_migration", DOC, "post_migration")
