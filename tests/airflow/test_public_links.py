"""Every link that a person gets leads to where a browser comes to, not to where a task does."""

import re
from types import SimpleNamespace

import pytest
import yaml

from feed_migration.orchestration.links import DashboardLink, PrometheusLink
from tests.airflow.conftest import Stage
from tests.airflow.test_approval import approval, asking
from tests.airflow.test_dags import DAG_IDS
from tests.airflow.test_notices import hooked, web
from tests.airflow.test_runs import bad_once_native
from tests.support.conditions import eventually_sync

__all__ = ["approval", "hooked", "web"]

PUBLIC = {
    "AIRFLOW_PUBLIC_URL": "https://airflow.example.com",
    "PROMETHEUS_PUBLIC_URL": "https://prometheus.example.com",
    "GRAFANA_URL": "https://grafana.example.com/d/backpack-migration",
}
INSIDE = {"airflow": {"url": "http://airflow-api-server:8080"}}


@pytest.fixture(params=["file", "environment"])
def public(stage: Stage, request, monkeypatch) -> Stage:
    """The stage as it is in containers: Airflow's internal name is no browser's."""
    path = stage.home / "deployment.yaml"
    document = yaml.safe_load(path.read_text()) | INSIDE
    if request.param == "file":
        document["public"] = {
            "airflow_url": PUBLIC["AIRFLOW_PUBLIC_URL"],
            "prometheus_url": PUBLIC["PROMETHEUS_PUBLIC_URL"],
        }
        document["grafana_url"] = PUBLIC["GRAFANA_URL"]
    else:
        for name, url in PUBLIC.items():
            monkeypatch.setenv(name, url)
    path.write_text(yaml.safe_dump(document))
    return stage


def require_public(urls) -> None:
    assert urls
    assert [url for url in urls if not url.startswith(tuple(PUBLIC.values()))] == []


def test_links_of_tasks(public: Stage):
    """Query and dashboard; the report's is a path of the page that shows it."""
    task = public.dag("backpack_cutover").get_task("cutover_50.gate")
    key = SimpleNamespace(task_id="cutover_50.gate", run_id="r1")
    require_public([link().get_link(task, ti_key=key) for link in (PrometheusLink, DashboardLink)])


def test_the_owner_of_every_dag(public: Stage):
    """Without an owner of its own it is the migration's page."""
    for dag_id in sorted(DAG_IDS):
        require_public(list(public.dag(dag_id).owner_links.values()))


def test_the_question_to_a_person(public: Stage, context, approval, monkeypatch):
    """Who is asked at night has a telephone in hand."""
    asking(approval, context, monkeypatch)
    require_public(re.findall(r"\]\((\S+)\)", approval.body))


def test_notices(public: Stage, hooked: Stage, web):
    """Of a step, of a rollback with its graphs, of its end."""
    hooked.prometheus.script = bad_once_native(hooked)
    assert hooked.run("backpack_migration") == "failed"
    eventually_sync(lambda: "rolled_back" in web.kinds(), describe=web.kinds)
    for body in web.bodies:
        require_public(list(body["links"].values()))
    (begun,) = [body for body in web.bodies if body["kind"] == "rollback"]
    assert {"errors", "console", "dashboard", "DAG run"} <= set(begun["links"])
