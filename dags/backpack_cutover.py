"""Airflow DAG: phase 3, the flag is flipped share by share."""

from feed_migration.orchestration.dag_factory import migration_dag

DOC = """
# Phase 3: cutover

At each share of the fleet: flip the flag, restart, wait until ready, then a gate. A breach puts
every instance back on ccxt. Needs the shadow phase promoted.

**Before you start.** The guard answers (the line `guard` of `backpack-migrate status`), on-call knows,
no deployment is planned. Consumers tolerate one restart of each FeedHandler; no trade is lost by it.

**What you see.** Per share: approval where the plan asks for one, *Move instances*, the gate. While
instances restart they are shown as restarting on the migration's page.

| It | Do |
| --- | --- |
| waits at **Approval** | look at the criteria in the question, answer before its time is over: silence is a No |
| **holds** | the share stays on native, the guard watches it. Read the reasons. Clear the gate *with what follows it*, or trigger `backpack_rollback` |
| **rolls back** | within seconds the whole fleet goes back; wait for *BACK ON CCXT*. Then read the incident |
| red, and still on native | the verdict says so: trigger `backpack_rollback` |

*Mark the run failed* takes everything back by hand.

Next: `backpack_stabilisation`.
"""

dag = migration_dag("backpack_cutover", DOC, "cutover")
