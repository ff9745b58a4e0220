"""Where programs reach a part and where people do: the file, the environment, the default."""

from dataclasses import fields

import pytest
import yaml

from feed_migration import deployment as deployment_module
from feed_migration.addresses import addresses_of
from feed_migration.base_urls import of_links
from feed_migration.deployment import load_deployment
from feed_migration.errors import DeploymentError

INSIDE = {
    "airflow": {"url": "http://airflow-api-server:8080"},
    "prometheus_url": "http://prom:9090",
}
PUBLIC = {
    "public": {
        "airflow_url": "https://ops.example.com/airflow/",
        "prometheus_url": "https://prom.example.com",
    },
    "grafana_url": "https://grafana.example.com/d/backpack-migration",
}
ENVIRON = {
    "AIRFLOW_PUBLIC_URL": "https://other.example.com/airflow",
    "PROMETHEUS_PUBLIC_URL": "https://other.example.com/prom",
    "GRAFANA_URL": "https://other.example.com/d/x",
}


@pytest.fixture
def load(tmp_path):
    def load(more, environ):
        document = {**INSIDE, "instances": [{"id": "feed-00", "url": "http://fleet:9601"}], **more}
        (tmp_path / "deployment.yaml").write_text(yaml.safe_dump(document))
        return load_deployment(tmp_path, environ)

    return load


def links(deployment):
    addresses = addresses_of(deployment)
    return (
        addresses.question("backpack_migration", "r1", "cutover_50.approval"),
        addresses.graph("up"),
        dict(addresses.pages()),
    )


def test_links_lead_to_the_public_addresses_and_programs_to_the_internal(load):
    """A browser cannot resolve the name of a container, nor a task that of a proxy."""
    deployment = load(PUBLIC, {})
    question, graph, pages = links(deployment)
    assert question.startswith("https://ops.example.com/airflow/dags/backpack_migration/runs/r1/")
    assert graph.startswith("https://prom.example.com/graph?")
    assert pages == {
        "console": "https://ops.example.com/airflow/plugin/backpack-migration",
        "dashboard": "https://grafana.example.com/d/backpack-migration",
    }
    assert deployment.airflow.url == INSIDE["airflow"]["url"]
    assert deployment.prometheus_url == INSIDE["prometheus_url"]


@pytest.mark.parametrize(
    "environ", [{}, {"AIRFLOW_URL": "http://a:1", "PROMETHEUS_URL": "http://p:2"}]
)
def test_without_public_addresses_links_lead_where_programs_go(load, environ):
    """On one host without containers they are the same."""
    deployment = load({}, environ)
    question, graph, pages = links(deployment)
    assert question.startswith(f"{deployment.airflow.url}/dags/")
    assert graph.startswith(f"{deployment.prometheus_url}/graph?")
    assert "dashboard" not in pages


def test_the_environment_wins_over_the_file(load):
    """docker-compose says there what .env says, whenever deployment.yaml was laid out."""
    question, graph, pages = links(load(PUBLIC, ENVIRON))
    assert all(
        url.startswith("https://other.example.com/") for url in (question, graph, *pages.values())
    )


@pytest.mark.parametrize("name", sorted(ENVIRON))
def test_a_wrong_address_is_named_and_stops_no_way_back(load, name):
    """Without its value, which may hold a password; what may not be stopped does without it."""
    wrong = {**ENVIRON, name: "https://ann:hunter2@x", "PROMETHEUS_URL": "nonsense"}
    with pytest.raises(DeploymentError, match=name) as caught:
        load(PUBLIC, {name: wrong[name]})
    assert "hunter2" not in str(caught.value)
    assert of_links(wrong) == {other: url for other, url in ENVIRON.items() if other != name}
    load(PUBLIC, of_links(wrong))


def test_a_public_address_that_is_none_is_a_mistake_of_the_file(load):
    """With the key."""
    with pytest.raises(DeploymentError, match=r"public.airflow_url"):
        load({"public": {"airflow_url": "ops.example.com"}}, {})


def test_the_example_of_a_deployment_has_every_key(tmp_path):
    """Its page is the module's own text, and an example that does not load is none."""
    text = deployment_module.__doc__.split("```yaml\n")[1].split("```")[0]
    (tmp_path / "deployment.yaml").write_text(text)
    found = load_deployment(tmp_path, {})
    assert links(found)[0].startswith("https://airflow.example.com/")
    for field in fields(found):
        if field.init and field.name not in {"home", "public"}:
            assert field.name in yaml.safe_load(text), field.name
