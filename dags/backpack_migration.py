"""Airflow DAG: the whole runbook, from preflight to the report."""

from feed_migration.dag_run import MIGRATION_DAG
from feed_migration.orchestration.dag_factory import migration_dag

DOC = """
# Move the fleet from the ccxt feed to the native one

Preflight, dry run, shadow, cutover step by step, stabilisation, report. Every step after the dry run
ends with a gate; a breach at any point puts the whole fleet back on ccxt, and the run ends **failed**.

**Before you start.** `backpack-migrate guard run` is up, Prometheus scrapes the fleet, every instance
runs ccxt and is healthy. Nobody deploys while a migration is active. Say in the form why you start.

**What you see.** One task group per step; hover it for share, criteria and durations. A gate waits
deferred (violet), an approval waits for input. Live values: *Backpack migration* in the menu, or
`backpack-migrate status --watch`.

| It | Means | Do |
| --- | --- | --- |
| waits at **Approval** | a person is asked, until the time in the question | answer under *Required Actions*; **No** and silence take the fleet back |
| ends red, **held** | nothing is proven, the exposure stays and is watched | read the reasons; clear the gate *with what follows it*, or trigger this DAG again: it goes on there. Or `backpack_rollback` |
| ends red, **rolled back** | the native feed was found bad, or a task failed before its gate; ccxt data flows again | nothing is urgent; read the reason, in the incident of the report; correct it, start again |
| ends red, **not promoted** | the preflight refused: nothing was touched | its error says what to correct; start again |

* *Mark the run failed* takes everything back by hand, but not once its last gate has promoted: in the
  post-migration phase only `backpack_rollback` does.
* *Mark a gate success* changes nothing: only the journal promotes.
* A run on top of a held migration continues where the journal says it is.
"""

dag = migration_dag(MIGRATION_DAG, DOC)
