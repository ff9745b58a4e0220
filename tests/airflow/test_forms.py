"""What an operator finds in the UI: forms, the runbook beside each DAG, names and docs of tasks."""

from pathlib import Path
from urllib.parse import urlsplit

import pytest
import yaml

from tests.airflow.conftest import REPOSITORY, Stage
from tests.airflow.test_dags import DAG_IDS


@pytest.fixture
def bag(stage: Stage):
    from airflow.dag_processing.dagbag import DagBag

    return DagBag(REPOSITORY / "dags")


def test_every_dag_says_who_owns_it_and_what_it_is_for(bag):
    """Owner with a link, tags, and a page that tells what to do when it waits, holds, goes back."""
    assert set(bag.dags) == DAG_IDS
    for dag in bag.dags.values():
        owner = dag.default_args["owner"]
        assert urlsplit(dag.owner_links[owner]).netloc, dag.dag_id
        assert {"backpack", "feed-migration"} < set(dag.tags), dag.dag_id
        assert dag.description, dag.dag_id
        assert "**What you see.**" in dag.doc_md, dag.dag_id
        assert "**When " in dag.doc_md or "| It |" in dag.doc_md, dag.dag_id


def test_every_field_of_a_form_is_typed_described_and_bounded(bag):
    """Nobody is asked for JSON."""
    for dag in bag.dags.values():
        assert dag.params, dag.dag_id
        for name in dag.params:
            field = dag.params.get_param(name)
            assert field.schema["type"] in ("string", "boolean", ["null", "string"]), name
            assert field.description, (dag.dag_id, name)
            assert field.schema.get("title"), (dag.dag_id, name)
            bounded = field.schema["type"] == "boolean" or field.schema["maxLength"] <= 2000
            assert bounded, (dag.dag_id, name)


def test_every_task_and_group_has_a_name_and_a_page(bag):
    """The graph reads without knowing ids; each task says what to do when it fails."""
    for dag in bag.dags.values():
        for task in dag.tasks:
            assert task.task_display_name != task.task_id, task.task_id
            assert task.doc_md, task.task_id
        for name, group in dag.task_group_dict.items():
            if name:
                assert group.group_display_name, name
                assert group.tooltip, name


def test_a_group_tells_share_criteria_and_durations(bag):
    """An operator hovers it in the graph instead of opening the plan."""
    groups = bag.dags["backpack_migration"].task_group_dict
    assert groups["cutover_50"].group_display_name == "Cutover 50 %"
    assert groups["cutover_50"].tooltip == (
        "50 % of the fleet on native; gate of 0.4 s to 1 s, asked every 0.2 s: errors"
    )


def test_the_rollback_cannot_be_taken_for_another_dag(bag):
    """Its name and tags stand out; it wants a reason and a tick."""
    dag = bag.dags["backpack_rollback"]
    assert dag.dag_display_name.startswith("⚠")
    assert {"rollback", "emergency"} <= set(dag.tags)
    others = [each for each in bag.dags.values() if each is not dag]
    assert not any({"rollback", "emergency"} & set(each.tags) for each in others)
    assert dag.params.get_param("confirm").schema["type"] == "boolean"


@pytest.mark.parametrize("conf", [{}, {"confirm": True}, {"reason": "", "confirm": True}])
def test_a_rollback_without_a_reason_is_refused(stage: Stage, conf):
    """The audit log, the incident and every notice begin with it."""
    from airflow.sdk.exceptions import ParamValidationError

    with pytest.raises(ParamValidationError):
        stage.run("backpack_rollback", **conf)
    assert stage.fleet.history == []


def test_a_form_without_its_tick_restarts_no_fleet(stage: Stage):
    """A click too many ends red, and says why."""
    assert stage.run("backpack_rollback", reason="oops", confirm=False) == "failed"
    (note,) = stage.journal.events()
    assert (note.body["note"], note.body["error"]) == ("refused", "NotConfirmed")
    assert stage.fleet.history == []


def test_who_triggers_by_command_need_not_tick(stage: Stage):
    """The console's button and a script have asked already."""
    assert stage.run("backpack_rollback", reason="consumers complain") == "success"
    assert stage.fleet.history[0][0] == "ccxt"


def test_the_deployment_names_the_owner(stage: Stage):
    """A team is called by its name, not by the product's."""
    path = stage.home / "deployment.yaml"
    owner = {"name": "market data", "url": "https://wiki.example.com/market-data"}
    path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()) | {"owner": owner}))
    dag = stage.dag("backpack_shadow")
    assert dag.owner_links == {"market data": owner["url"]}


def test_a_deployment_that_cannot_be_read_hides_no_dag(stage: Stage):
    """The rollback must be there on the day somebody breaks the file."""
    from airflow.dag_processing.dagbag import DagBag

    (stage.home / "deployment.yaml").write_text("instances: [")
    bag = DagBag(REPOSITORY / "dags")
    assert bag.import_errors == {}
    assert set(bag.dags) == DAG_IDS


def approving(stage: Stage, monkeypatch, **more):
    plan = yaml.safe_load(Path(__file__).with_name("plan.yaml").read_text())
    plan["phases"]["cutover"]["steps"][0] |= {"approval": True, **more}
    path = stage.home / "plan.yaml"
    path.write_text(yaml.safe_dump(plan, sort_keys=False))
    monkeypatch.setenv("BACKPACK_PLAN", str(path))
    return stage.dag("backpack_cutover").get_task("cutover_50.approval")


def test_a_plan_says_who_may_approve_and_for_how_long(stage: Stage, monkeypatch):
    """Airflow itself refuses anybody else; ids and names may differ."""
    named = {"approvers": ["ann", {"id": "7", "name": "bob"}], "approval_timeout": "2h"}
    asked = approving(stage, monkeypatch, **named)
    assert asked.assigned_users == [{"id": "ann", "name": "ann"}, {"id": "7", "name": "bob"}]
    assert asked.response_timeout.total_seconds() == 7200
    assert asked.fail_on_reject
    assert asked.defaults is None


def test_without_approvers_anybody_who_may_act_is_asked_for_a_day(stage: Stage, monkeypatch):
    """The default of a plan that says no more than `approval: true`."""
    asked = approving(stage, monkeypatch)
    assert asked.assigned_users is None
    assert asked.response_timeout.total_seconds() == 86400


def test_links_lead_to_query_dashboard_and_report(stage: Stage, monkeypatch):
    """What an operator looks at next is a click away, also while the gate waits."""
    from types import SimpleNamespace

    from feed_migration.orchestration.links import DashboardLink, PrometheusLink, ReportLink

    path = stage.home / "deployment.yaml"
    more = {"grafana_url": "http://127.0.0.1:3000/d/backpack"}
    path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()) | more))
    key = SimpleNamespace(task_id="cutover_50.gate", run_id="manual__1+2")
    task = stage.dag("backpack_cutover").get_task("cutover_50.gate")
    assert (
        PrometheusLink()
        .get_link(task, ti_key=key)
        .startswith(f"{stage.prometheus.url}/graph?g0.expr=sum+by")
    )
    assert DashboardLink().get_link(task, ti_key=key) == more["grafana_url"]
    assert ReportLink().get_link(task, ti_key=key) == "/backpack/report?run=manual__1%2B2"
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", "https://host.example/team/airflow/")
    assert ReportLink().get_link(task, ti_key=key).startswith("/team/airflow/backpack/report?")


def test_a_phase_that_is_passed_gives_an_asset_event(stage: Stage):
    """Others hang DAGs on it; the event says which migration, step and who."""
    from airflow.models.asset import AssetEvent, AssetModel
    from airflow.utils.session import create_session
    from sqlalchemy import select

    def events():
        with create_session() as session:
            query = select(AssetModel.name, AssetEvent.extra).join(
                AssetModel, AssetModel.id == AssetEvent.asset_id
            )
            return [(name, extra) for name, extra in session.execute(query)]

    before = len(events())
    assert stage.run("backpack_migration", reason="assets") == "success"
    migration_id = stage.journal.latest_migration()
    fresh = [(name, extra) for name, extra in events()[before:]]
    assert [name for name, _ in fresh] == [
        f"backpack_{phase}_passed"
        for phase in (
            "preflight",
            "dry_run",
            "shadow",
            "cutover",
            "stabilisation",
            "post_migration",
        )
    ]
    assert {extra["migration_id"] for _, extra in fresh} == {migration_id}
    assert fresh[3][1]["step"] == "cutover-100"
    assert "actor" in fresh[3][1]
