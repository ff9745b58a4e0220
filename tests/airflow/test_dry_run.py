"""The checks of the dry run are programs of their own, which get what they need and no more."""

import json

from tests.airflow.conftest import Stage, run_state

DUMP = "import json, os, sys; json.dump(dict(os.environ), open(sys.argv[1], 'w'))"
SECRETS = {
    "AIRFLOW__API__SECRET_KEY": "an API secret",
    "AIRFLOW_CONN_PAGER": "https://user:password@pager.example.com",
    "AIRFLOW_VAR_OWNER": "a variable",
    "AIRFLOW_PASSWORD": "a password",
}


def test_no_check_inherits_what_airflow_keeps_in_its_environment(stage: Stage, monkeypatch):
    """Keys, connections and passwords of Airflow stay there; the path to the programs goes along."""
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    dag = stage.dag("backpack_dry_run")
    checks = [task for task in dag.tasks if hasattr(task, "argv")]
    for task in checks:
        file = stage.home / f"{task.check}.json"
        task.argv = lambda _, file=file: ("-c", DUMP, str(file))
    assert run_state(dag) == "success"
    assert len(checks) == 2
    for task in checks:
        environment = json.loads((stage.home / f"{task.check}.json").read_text())
        assert [name for name in environment if name.startswith("AIRFLOW")] == ["AIRFLOW_HOME"]
        assert environment["PATH"]
        assert environment["BACKPACK_HOME"] == str(stage.home)
        assert environment["CRYPTOFEED_BACKPACK_NATIVE"] == "true"
