"""Airflow DAG: phase 1, flag on in the sandbox."""

from feed_migration.orchestration.dag_factory import migration_dag

DOC = """
# Phase 1: dry run

The native feed's integration tests and a signed request with the deployment's credentials. Nothing
of the fleet is touched. Begins a migration if none is active.

**Before you start.** The release is deployed and every Airflow component was restarted since; the
credentials file is there, and not everybody can read it.

**What you see.** *Preflight*, then both checks side by side, a minute or two. Their output is in the
tasks' logs.

**When it ends red.** The release or the credentials are at fault, see the log of the red task. A
failed check of the preflight names its remedy. Behind a failed dry run the migration ends as *rolled
back*, although nothing had moved, and you are told *BACK ON CCXT*. Correct it and trigger this DAG
again: a new migration begins.

Next: `backpack_shadow`.
"""

dag = migration_dag("backpack_dry_run", DOC, "preflight", "dry_run")
