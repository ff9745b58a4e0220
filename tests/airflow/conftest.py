"""One Airflow home per session; its environment must stand before `airflow` is imported."""

import gc
import os
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest
import yaml

from feed_migration.journal.store import Journal
from tests.airflow.half_way import STEP
from tests.airflow.scripted import Sample, ScriptedFleet, ScriptedPrometheus

if TYPE_CHECKING:
    from airflow.sdk import DAG

    from feed_migration.orchestration.place import Place

REPOSITORY = Path(__file__).resolve().parents[2]
_HOME = tempfile.TemporaryDirectory(prefix="airflow-tests-")

os.environ.update(
    {
        "AIRFLOW_HOME": _HOME.name,
        "AIRFLOW__CORE__DAGS_FOLDER": str(REPOSITORY / "dags"),
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(REPOSITORY / "plugins"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__LOGGING__LOGGING_LEVEL": "WARNING",
        "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
        "AIRFLOW__API_AUTH__JWT_SECRET": "only-for-tests-0123456789abcdefghijklmnopqrstuv",
        "AIRFLOW__API_AUTH__JWT_ISSUER": "tests",
    }
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Airflow's own warnings are not ours to fail on."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.airflow)
            item.add_marker(pytest.mark.filterwarnings("ignore"))


@pytest.fixture(scope="module", autouse=True)
def leftovers_of_airflow() -> Iterator[None]:
    """Connections that Airflow never closes are collected here, not in a later test that minds."""
    yield
    gc.collect()


@pytest.fixture(scope="session")
def airflow_database() -> Iterator[None]:
    """An initialised metadata database."""
    from airflow.utils.db import initdb

    initdb()
    yield
    _HOME.cleanup()


@dataclass
class Stage:
    """A deployment whose fleet and Prometheus follow a script."""

    home: Path
    fleet: ScriptedFleet
    prometheus: ScriptedPrometheus

    @property
    def journal(self) -> Journal:
        return Journal(self.home / "journal.db")

    @property
    def natives(self) -> list[str]:
        return [name for name, variant in self.fleet.variants.items() if variant == "native"]

    def kinds(self, migration_id: str | None = None) -> list[str]:
        return [event.kind for event in self.journal.events(migration_id)]

    def dag(self, dag_id: str) -> "DAG":
        from airflow.dag_processing.dagbag import DagBag

        bag = DagBag(REPOSITORY / "dags" / f"{dag_id}.py")
        assert bag.import_errors == {}
        dag = bag.dags[dag_id]
        for task in dag.tasks:
            _hasten(task)
        return dag

    def run(self, dag_id: str, **conf: Any) -> str:
        """Run the DAG in this process and return the state of the run."""
        return run_state(self.dag(dag_id), **conf)


def run_state(dag: "DAG", marked: str | None = None, **conf: Any) -> str:
    """Run `dag` in this process and return the state of the run.

    Tasks that match `marked` are set to success when they are due, as a person would by hand.
    """
    return str(run_of(dag, marked, **conf).state)


def way_back_of(run: Any) -> dict[str, str]:
    """Return the states of the tasks of the way back and of the verdict of a DAG run."""
    tasks = {task.task_id: str(task.state) for task in run.get_task_instances()}
    names = ("rollback.revert", "rollback.document", "verdict")
    return {name.removeprefix("rollback."): tasks[name] for name in names}


def run_of(
    dag: "DAG", marked: str | None = None, *, asked_at: datetime | None = None, **conf: Any
) -> Any:
    """Run `dag` as `run_state` does, and return the run; it was asked for now, or then."""
    sleep = time.sleep
    with pytest.MonkeyPatch.context() as patch:
        # dag.test() sleeps a second whenever no task is ready, which is after each teardown
        patch.setattr(time, "sleep", lambda seconds: sleep(min(seconds, 0.02)))
        return dag.test(run_conf=conf, mark_success_pattern=marked, run_after=asked_at)


def _hasten(task: Any) -> None:
    task.retry_delay = timedelta(0)
    if hasattr(task, "settle_seconds"):
        task.settle_seconds = 0.0
    if hasattr(task, "journal_patience"):
        task.journal_patience = replace(task.journal_patience, pause_seconds=0.02)
    if hasattr(task, "argv"):
        task.argv = lambda _: ("-c", "print()")


@pytest.fixture(scope="module")
def api(airflow_database: None) -> Iterator[Any]:
    """Airflow's REST API in this process, as the user ann; listeners as the plugin registers them."""
    from airflow.api_fastapi.app import create_app
    from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser
    from airflow.api_fastapi.core_api.security import get_user
    from fastapi.testclient import TestClient

    app = create_app(apps="core")
    user = SimpleAuthManagerUser(username="ann", role="admin")
    core = next((r.app for r in app.routes if getattr(r, "path", "") == "/api/v2"), app)
    for each in (app, core):
        each.dependency_overrides[get_user] = lambda: user
    with TestClient(app, raise_server_exceptions=False) as client:
        yield client


@pytest.fixture
def triggerer_channel(airflow_database: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a triggerer may ask Airflow and `dag.test()`, which runs triggers by itself, may not."""
    from feed_migration.orchestration import kept_answer

    monkeypatch.setattr(kept_answer, "get_hitl_detail_content_detail", _detail_in_database)


def _detail_in_database(ti_id: Any) -> Any:
    from airflow.api_fastapi.execution_api.datamodels.hitl import HITLDetailResponse
    from airflow.models.hitl import HITLDetail
    from airflow.utils.session import create_session

    with create_session(scoped=False) as session:
        detail = session.get(HITLDetail, UUID(str(ti_id)))
        return HITLDetailResponse.from_hitl_detail_orm(detail)


def steady(query: str) -> list[Sample]:
    """One good series per instance of the fleet."""
    return [({"instance_id": f"feed-{number:02}"}, 0.0) for number in range(10)]


@pytest.fixture
def stage(
    airflow_database: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Stage]:
    """A deployment of four instances, all on ccxt."""
    names = [f"feed-{number:02}" for number in range(4)]
    fleet = ScriptedFleet(names)
    with ScriptedPrometheus(steady).serving() as prometheus:
        _write_deployment(tmp_path, names, prometheus.url)
        monkeypatch.setenv("BACKPACK_HOME", str(tmp_path))
        monkeypatch.setenv("BACKPACK_PLAN", str(Path(__file__).with_name("plan.yaml")))
        monkeypatch.delenv("PROMETHEUS_URL", raising=False)
        monkeypatch.setattr("feed_migration.orchestration.runtime.open_fleet", lambda _: fleet)
        monkeypatch.setattr(
            "feed_migration.orchestration.begin_operator.PROJECT_ROOT", _checkout(tmp_path)
        )
        yield Stage(home=tmp_path, fleet=fleet, prometheus=prometheus)
    forget_questions()


def forget_questions() -> None:
    """Nobody is asked any more: a later test would take the question for its own."""
    from airflow.models.hitl import HITLDetail
    from airflow.utils.session import create_session
    from sqlalchemy import delete

    with create_session(scoped=False) as session:
        session.execute(delete(HITLDetail))


@pytest.fixture
def context(stage: "Stage") -> dict[str, Any]:
    """The context of a task whose `begin` has begun a migration of the plan."""
    from feed_migration.orchestration.place import current_place

    plan = current_place().plan()
    journal = stage.journal
    migration_id = journal.begin_migration(plan.name, plan.sha256, "ann", steps=plan.steps)
    return {"ti": SimpleNamespace(xcom_pull=lambda task_ids: migration_id)}


def _checkout(home: Path) -> Path:
    """A checkout that has what the preflight looks for."""
    root = home / "checkout"
    for name in ("tests/integration/test_backpack_native.py", "tests/fixtures/backpack/depth.json"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


def _write_deployment(home: Path, names: list[str], prometheus_url: str) -> None:
    key = home / "api_key.json"
    key.touch(mode=0o600)
    deployment = {
        "prometheus_url": prometheus_url,
        "instances": [
            {"id": name, "url": "http://127.0.0.1:1", "config": f"{name}.yaml"} for name in names
        ],
        "shadow_instances": [
            {"id": "shadow-00", "url": "http://127.0.0.1:1", "config": "shadow.yaml"}
        ],
        "credentials_file": "api_key.json",
    }
    (home / "deployment.yaml").write_text(yaml.safe_dump(deployment))


@pytest.fixture
def place(stage: Stage) -> "Place":
    """What Airflow's processes of the stage work on."""
    from feed_migration.orchestration.place import current_place

    return current_place()


@pytest.fixture
def migration_id(stage: Stage, place: "Place") -> str:
    """A migration whose first half of the fleet is on native, its gate under way."""
    plan, journal = place.plan(), stage.journal
    begun = journal.begin_migration(plan.name, plan.sha256, "ann", steps=plan.steps)
    who = {"migration_id": begun, "actor": "ann"}
    for step in ("preflight", "dry_run", "shadow"):
        journal.append("approval", body={"step": step, "decision": "Promote", "reason": "t"}, **who)
        journal.append("step_promoted", body={"step": step}, **who)
    journal.append("step_started", body={"step": STEP, "run": "1"}, **who)
    names = stage.fleet.names[:2]
    stage.fleet.set_variant(names, "native", epoch=journal.state(begun).epoch)
    return begun
