"""A deployment that the console shows, and people of several roles who look at it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import requests
import yaml

from feed_migration.journal.store import Journal
from feed_migration.model import Measurement, Outcome
from feed_migration.orchestration.place import current_place
from tests.support.memory_fleet import MemoryFleet

WRITE_HEADERS = {"X-Backpack-Console": "1"}
DAG_ID = "backpack_migration"
RUN_ID = "manual__2026-10-02T10:15:30+00:00"


@dataclass
class Scene:
    """`url` is the console's; `airflow_url` that of the server it is part of."""

    home: Path
    airflow_url: str
    journal: Journal
    fleet: MemoryFleet
    sessions: list[requests.Session] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"{self.airflow_url}/backpack"

    def token(self, name: str = "ann", role: str = "admin") -> str:
        """What Airflow's login gives to a user of that role."""
        from airflow.api_fastapi.app import get_auth_manager
        from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser

        return get_auth_manager().generate_jwt(SimpleAuthManagerUser(username=name, role=role))

    def browser(self, name: str = "ann", role: str = "admin") -> requests.Session:
        """A session as a browser has one: by cookie, from the page's own origin."""
        session = self.anonymous()
        session.cookies.set("_token", self.token(name, role))
        origin = {"Origin": self.airflow_url, "Sec-Fetch-Site": "same-origin"}
        session.headers.update(WRITE_HEADERS | origin)
        return session

    def anonymous(self) -> requests.Session:
        session = requests.Session()
        session.trust_env = False
        self.sessions.append(session)
        return session

    def close(self) -> None:
        from feed_migration.console.app import sources

        sources().board.close()
        for session in self.sessions:
            session.close()

    def view(self, session: requests.Session) -> dict[str, Any]:
        answer = session.get(f"{self.url}/api/view", timeout=15)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def begin(self, *, until: str = "cutover-50", run_id: str = RUN_ID) -> str:
        """A migration whose steps before `until` are promoted; five instances are on native."""
        plan = current_place().plan()
        migration_id = self.journal.begin_migration(
            plan.name, plan.sha256, "ann", steps=plan.steps, run_key=f"{DAG_ID}/{run_id}#0"
        )
        for step in plan.steps:
            if step.name == until:
                break
            if step.gate is not None:
                self.start_gate(migration_id, step.name)
                self.append(
                    migration_id,
                    "verdict",
                    step=step.name,
                    run="1",
                    decision="Promote",
                    at_seconds=300.0,
                    reasons=[],
                )
            self.append(migration_id, "step_promoted", step=step.name)
        names = [f"feed-{number:02}" for number in range(5)]
        self.append(
            migration_id,
            "act_intended",
            act="set_variant",
            step="cutover-10",
            variant="native",
            instances=names,
            epoch=1,
        )
        self.append(
            migration_id,
            "act_confirmed",
            act="set_variant",
            step="cutover-10",
            variant="native",
            instances=names,
            epoch=1,
        )
        self.fleet.variant |= dict.fromkeys(names, "native")
        return migration_id

    def start_gate(self, migration_id: str, step: str, run_id: str = RUN_ID) -> None:
        started = {"run": "1", "key": f"{DAG_ID}/{run_id}#0", "started_unix": 1000.0}
        self.append(migration_id, "step_started", step=step, **started)

    def append(self, migration_id: str, kind: str, actor: str = "ann", **body: Any) -> None:
        self.journal.append(kind, migration_id=migration_id, actor=actor, body=body)

    def measure(self, migration_id: str, step: str, values: Sequence[float]) -> None:
        """Both criteria of the plan at one tick after the other; from 10 on slow_checks fails."""
        self.journal.record(
            migration_id,
            step,
            [
                m
                for k, value in enumerate(values)
                for m in (measured("errors", k, 0.0), measured("slow_checks", k, value))
            ],
        )


def measured(criterion: str, tick: int, value: float) -> Measurement:
    outcome = Outcome.FAILURE if value >= 10 else Outcome.SUCCESS
    return Measurement(
        criterion=criterion,
        tick_seconds=15.0 * tick,
        outcome=outcome,
        counts_as=outcome,
        value=value,
    )


def open_scene(home: Path, airflow_url: str, size: int = 10) -> Scene:
    names = [f"feed-{number:02}" for number in range(size)]
    deployment = {
        "prometheus_url": "http://127.0.0.1:1",
        "instances": [{"id": name, "url": "http://127.0.0.1:1"} for name in names],
    }
    (home / "deployment.yaml").write_text(yaml.safe_dump(deployment))
    scheduler_heard()
    triggerer_heard()
    return Scene(home, airflow_url, Journal(home / "journal.db"), MemoryFleet(size))


def scheduler_heard(seconds_ago: float = -3600.0, state: str = "running") -> datetime:
    """Airflow has had one scheduler, whose last sign of life is that old; returns when that was.

    By default it is ahead of now: however long a test takes, that one is alive.
    """
    return _heard("SchedulerJob", seconds_ago, state)


def scheduler_never_heard() -> None:
    """Airflow has had no scheduler."""
    _never_heard("SchedulerJob")


def triggerer_heard(seconds_ago: float = -3600.0) -> datetime:
    """The same for Airflow's triggerer."""
    return _heard("TriggererJob", seconds_ago, "running")


def _heard(job_type: str, seconds_ago: float, state: str) -> datetime:
    from airflow.jobs.job import Job
    from airflow.sdk import timezone
    from airflow.utils.session import create_session

    _never_heard(job_type)
    with create_session() as session:
        job = Job(job_type=job_type, state=state)
        job.latest_heartbeat = heard = timezone.utcnow() - timedelta(seconds=seconds_ago)
        session.add(job)
    return heard


def _never_heard(job_type: str) -> None:
    from airflow.jobs.job import Job
    from airflow.utils.session import create_session
    from sqlalchemy import delete

    with create_session() as session:
        session.execute(delete(Job).where(Job.job_type == job_type))


def sync_dags() -> None:
    """Put our DAGs into Airflow's database, as its dag-processor does."""
    from airflow.dag_processing.bundles.manager import DagBundlesManager
    from airflow.dag_processing.dagbag import BundleDagBag, sync_bag_to_db

    manager = DagBundlesManager()
    manager.sync_bundles_to_db()
    for bundle in manager.get_all_dag_bundles():
        bundle.initialize()
        bag = BundleDagBag(dag_folder=bundle.path, bundle_path=bundle.path, bundle_name=bundle.name)
        assert bag.import_errors == {}
        sync_bag_to_db(bag, bundle.name, bundle.version)


def start_run(scene: Scene) -> str:
    """A run of the whole migration in Airflow's database; nothing schedules it."""
    answer = requests.post(
        f"{scene.airflow_url}/api/v2/dags/{DAG_ID}/dagRuns",
        json={"logical_date": None, "conf": {}},
        headers={"Authorization": f"Bearer {scene.token()}"},
        timeout=15,
    )
    assert answer.status_code == 200, answer.text
    return str(answer.json()["dag_run_id"])


def wait_for_approval(
    run_id: str,
    task_id: str = "cutover_50.approval",
    body: str = "* **cutover-10**: Promote at 300 s",
    fields: Mapping[str, Any] | None = None,
    options: Sequence[str] = ("Approve", "Reject"),
    *,
    assignees: Sequence[Mapping[str, str]] = (),
) -> None:
    """Bring a task where Airflow has it while a person is asked, of `assignees` {id, name} if any.

    `fields` are those of the form as Airflow keeps them; without any it has a `reason`.
    """
    from airflow.models.hitl import HITLDetail
    from airflow.models.taskinstance import TaskInstance
    from airflow.sdk import timezone
    from airflow.utils.session import create_session
    from airflow.utils.state import TaskInstanceState
    from sqlalchemy import select

    with create_session() as session:
        wanted = select(TaskInstance).filter_by(run_id=run_id, task_id=task_id)
        task = session.scalars(wanted).one()
        task.state = TaskInstanceState.AWAITING_INPUT
        asked = HITLDetail(
            ti_id=task.id,
            options=list(options),
            subject="Start cutover-50 of the Backpack feed migration?",
            body=body,
            params=dict(a_field("reason") if fields is None else fields),
            created_at=timezone.utcnow() - timedelta(seconds=10),
            assignees=[dict(one) for one in assignees] or None,
        )
        session.add(asked)


def a_field(name: str) -> dict[str, Any]:
    """One field of a question's form that may be left empty."""
    return {name: {"value": "", "schema": {"type": ["null", "string"]}}}


def fail_tasks(run_id: str, *task_ids: str) -> None:
    """End tasks of a run as failed."""
    from airflow.models.dagrun import DagRun
    from airflow.models.taskinstance import TaskInstance
    from airflow.utils.session import create_session
    from sqlalchemy import update

    with create_session() as session:
        session.execute(
            update(TaskInstance)
            .where(TaskInstance.run_id == run_id, TaskInstance.task_id.in_(task_ids))
            .values(state="failed")
        )
        session.execute(update(DagRun).where(DagRun.run_id == run_id).values(state="failed"))


def task_states(run_id: str) -> dict[str, str | None]:
    from airflow.models.taskinstance import TaskInstance
    from airflow.utils.session import create_session
    from sqlalchemy import select

    with create_session() as session:
        rows = session.scalars(select(TaskInstance).filter_by(run_id=run_id))
        return {row.task_id: row.state and str(row.state) for row in rows}


def kept_answer(run_id: str) -> Any:
    """What Airflow keeps of the answer to a run's question, as (options, fields), or None."""
    from airflow.models.hitl import HITLDetail
    from airflow.models.taskinstance import TaskInstance
    from airflow.utils.session import create_session
    from sqlalchemy import select

    with create_session() as session:
        wanted = select(HITLDetail).join(TaskInstance, HITLDetail.ti_id == TaskInstance.id)
        asked = session.scalars(wanted.where(TaskInstance.run_id == run_id)).one()
        return (asked.chosen_options, asked.params_input) if asked.response_received else None


def task_notes(run_id: str) -> dict[str, str]:
    """The notes that tasks of a run have, by task."""
    from airflow.models.taskinstance import TaskInstance
    from airflow.utils.session import create_session
    from sqlalchemy import select

    with create_session() as session:
        rows = session.scalars(select(TaskInstance).filter_by(run_id=run_id))
        return {row.task_id: row.note for row in rows if row.note}


def airflow_log(event: str) -> list[Any]:
    """Rows of Airflow's audit log, newest first, as (owner, dag_id, run_id, extra)."""
    from airflow.models.log import Log
    from airflow.utils.session import create_session
    from sqlalchemy import select

    with create_session() as session:
        rows = session.scalars(select(Log).where(Log.event == event).order_by(Log.id.desc()))
        return [(row.owner, row.dag_id, row.run_id, json.loads(row.extra or "{}")) for row in rows]
