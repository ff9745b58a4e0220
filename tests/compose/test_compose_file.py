"""docker-compose.yaml and its file for Celery: valid, hardened, without a secret, true to the tree.

What needs an engine is in `make compose-check`, which CI does not run.
"""

import json
import re
import subprocess
from importlib.resources import files as package_files

import jsonschema
import pytest
import yaml

from feed_migration.addresses import addresses_of
from feed_migration.deployment import load_deployment
from tests.compose.files import (
    CELERY,
    MAIN,
    REPOSITORY,
    filled,
    make_env,
    merged,
    raw,
    services,
    settings_in,
    variables,
)
from tools.compose import configs
from tools.compose.places import Places

SCHEMA = json.loads(
    (
        package_files("check_jsonschema") / "builtin_schemas" / "vendor" / "compose-spec.json"
    ).read_text("utf-8")
)
ONE_SHOT = {"init", "migrate", "install-key"}
LINKING = {"guard", "migrate", "airflow-api-server", "airflow-scheduler", "airflow-triggerer"}
LINKING |= {"airflow-dag-processor"}
PUBLISHED = {"airflow-api-server", "prometheus", "grafana", "alertmanager"}
LINKS = {"AIRFLOW_PUBLIC_URL", "PROMETHEUS_PUBLIC_URL", "GRAFANA_URL"}
SECRET = re.compile(r"PASSWORD|SECRET|FERNET")


@pytest.fixture(scope="module")
def settings(tmp_path_factory):
    """What `make env` writes."""
    path = tmp_path_factory.mktemp("env") / ".env"
    make_env(path)
    return settings_in(path)


@pytest.mark.parametrize("path", [MAIN, CELERY], ids=lambda p: p.name)
def test_the_file_is_what_the_compose_specification_says(path, settings):
    """Unknown keys and wrong types are errors."""
    jsonschema.validate(filled(path, settings), SCHEMA)


def test_the_schema_check_can_fail(settings):
    """A misspelt key deep in a service is found."""
    document = filled(MAIN, settings)
    document["services"]["guard"]["read_onyl"] = True
    with pytest.raises(jsonschema.ValidationError, match="read_onyl"):
        jsonschema.validate(document, SCHEMA)


def test_nothing_that_only_one_of_the_two_versions_reads():
    """docker-compose 1.29 refuses these, or its own file format is refused by 2."""
    for path in (MAIN, CELERY):
        assert not {"version", "name", "include", "secrets", "configs"} & set(raw(path))


@pytest.mark.parametrize("name", sorted(merged()))
def test_every_service_is_locked_down(name):
    """Non-root, read-only, no capabilities, no new privileges, limits, rotated logs."""
    service = merged()[name]
    assert service["user"].split(":")[0] not in {"0", "root"}
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert "cap_add" not in service
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert "privileged" not in service
    assert service.get("network_mode") in {None, "none"}
    assert service["mem_limit"]
    assert service["cpus"]
    assert service["pids_limit"] > 0
    assert set(service["logging"]["options"]) == {"max-size", "max-file"}
    assert service["init"] is True


@pytest.mark.parametrize("name", sorted(merged()))
def test_every_service_says_how_it_is_and_comes_back(name):
    """A check of its health and a restart; what ends by itself has neither."""
    service = merged()[name]
    if name in ONE_SHOT:
        assert service["restart"] == "no"
        return
    assert service["restart"] == "unless-stopped"
    assert service["healthcheck"]["test"][0] in {"CMD", "CMD-SHELL"}
    assert {"interval", "timeout", "retries", "start_period"} <= set(service["healthcheck"])


def test_only_user_interfaces_are_published_and_on_loopback_alone():
    """Nothing listens on an address that another machine reaches."""
    ports = {name: service["ports"] for name, service in merged().items() if "ports" in service}
    assert set(ports) == PUBLISHED
    for entries in ports.values():
        assert all(entry.startswith("127.0.0.1:") for entry in entries)


def test_networks_give_each_service_what_it_needs():
    """The database is internal and the fleet is not on it; out get only those with whom to talk."""
    networks = {**raw()["networks"], **raw(CELERY)["networks"]}
    internal = {name for name, options in networks.items() if (options or {}).get("internal")}
    assert internal == {"database", "control", "venue", "broker"}
    on = {name: set(service.get("networks", ())) for name, service in services().items()}
    assert "database" not in on["fleet"] | on["prometheus"] | on["grafana"] | on["sandbox"]
    # to the venue; to people, by Airflow, without it, and by alerts
    out = {"init", "fleet", "airflow-scheduler", "guard", "migrate", "prometheus", "alertmanager"}
    assert {name for name in on if "outside" in on[name]} == out
    assert {name for name in on if "published" in on[name]} == PUBLISHED
    assert on["postgres"] == {"database"}


def test_the_fleet_cannot_read_the_control_plane():
    """A feed parses what strangers send: no database, no Airflow, no signing key, no flag to flip."""
    mounts = [entry.split(":") for entry in services()["fleet"]["volumes"]]
    by_path = {parts[1]: parts[2] if len(parts) > 2 else "rw" for parts in mounts}
    assert "/var/lib/backpack-control" not in by_path
    assert "/var/lib/backpack" not in by_path
    assert by_path["/var/lib/backpack/fleet"] == by_path["/var/lib/backpack-credentials"] == "ro"
    assert set(services()["fleet"]["environment"]) == {"BACKPACK_HOME"}


@pytest.mark.parametrize("path", [MAIN, CELERY], ids=lambda p: p.name)
def test_no_secret_has_a_default(path):
    """A secret that is missing stops docker-compose, with the remedy in its message."""
    for name, kind, rest in variables(path):
        if SECRET.search(name):
            assert kind == ":?", name
            assert "make env" in rest


def test_no_secret_stands_in_the_files():
    """Every setting whose name says secret is a variable, a file, or a command that reads a file."""
    for path in (MAIN, CELERY):
        for name, service in services(path).items():
            for key, value in service.get("environment", {}).items():
                if SECRET.search(key) or key == "REDISCLI_AUTH":
                    assert str(value).startswith("${"), f"{name}: {key}"
    lines = (REPOSITORY / "deploy/docker/airflow.env").read_text().splitlines()
    pairs = dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))
    for key, value in pairs.items():
        if re.search(r"FERNET|SECRET", key):
            assert key.endswith("_CMD")
            assert value.startswith("cat /var/lib/backpack-control/")
        assert not re.search(r"://[^/@]*:[^/@]*@", value), key


def test_every_variable_without_a_default_is_made_by_make_env(settings):
    """`make env`, and `docker-compose up` asks for nothing more."""
    for path in (MAIN, CELERY):
        wanted = {name for name, kind, _ in variables(path) if kind != ":-"}
        assert wanted <= set(settings)


def test_every_path_that_is_mounted_or_run_is_there():
    """A bind mount that is missing becomes an empty folder of root's."""
    for path in (MAIN, CELERY):
        for name, service in services(path).items():
            for entry in service.get("volumes", ()):
                if entry.startswith("./"):
                    assert (REPOSITORY / entry.split(":")[0]).exists(), f"{name}: {entry}"
            for entry in service.get("env_file", ()):
                assert (REPOSITORY / entry).is_file()
            words = [*service.get("command", ()), *service.get("healthcheck", {}).get("test", ())]
            for word in map(str, words):
                if word.startswith("/opt/backpack/"):
                    assert (REPOSITORY / word.removeprefix("/opt/backpack/")).is_file(), word


def test_every_named_volume_and_network_is_declared():
    """A misspelt one would be a volume of its own."""
    volumes, networks = set(raw()["volumes"]), {*raw()["networks"], *raw(CELERY)["networks"]}
    used = set()
    for service in merged().values():
        for entry in service.get("volumes", ()):
            source = entry.split(":")[0]
            if not source.startswith(("./", "/")):
                used.add(source)
        assert set(service.get("networks", ())) <= networks
    assert used == volumes


def test_services_wait_for_what_exists_without_a_profile():
    """A dependency in a profile that is off is an error of docker-compose."""
    always = {name for name, service in merged().items() if "profiles" not in service}
    for service in merged().values():
        assert set(service.get("depends_on", ())) <= always


def test_the_workers_of_celery_have_what_the_scheduler_has():
    """They do its tasks: the same volumes, the same settings of the migration, the same ways out."""
    worker, scheduler = services(CELERY)["airflow-worker"], services()["airflow-scheduler"]
    assert worker["volumes"] == scheduler["volumes"]
    assert set(worker["networks"]) == {*scheduler["networks"], "broker"}
    shared = {
        n: v for n, v in scheduler["environment"].items() if n.startswith("BACKPACK_") or n in LINKS
    }
    assert shared.keys() >= LINKS
    assert shared.items() <= worker["environment"].items()


def test_the_workers_probe_asks_by_the_broker_alone(tmp_path):
    """To load Airflow for it takes longer than its time on a busy machine; no argument is a secret."""
    kind, text = services(CELERY)["airflow-worker"]["healthcheck"]["test"]
    assert kind == "CMD-SHELL"
    assert "airflow" not in text
    (tmp_path / "broker_url").write_text("redis://:hunter2@redis:6379/0")
    celery = tmp_path / "celery"
    celery.write_text('#!/bin/sh\necho "$@"; echo "$CELERY_BROKER_URL"')
    celery.chmod(0o755)
    here = text.replace("$$", "$").replace(str(Places().control), str(tmp_path))
    environ = {"PATH": f"{tmp_path}:/usr/bin:/bin", "HOSTNAME": "3f2a9c"}
    done = subprocess.run(
        ["/bin/sh", "-c", here], env=environ, capture_output=True, text=True, check=True
    )
    arguments, broker = done.stdout.splitlines()
    assert arguments.split()[0] == "inspect"
    assert {"celery@3f2a9c", "ping"} <= set(arguments.split())
    assert broker == "redis://:hunter2@redis:6379/0"


def test_a_redis_that_refuses_its_password_is_not_healthy():
    """`redis-cli` ends with 0 whatever the server says, but for -e."""
    assert services(CELERY)["redis"]["healthcheck"]["test"] == ["CMD", "redis-cli", "-e", "ping"]


def test_who_makes_links_knows_where_browsers_come_to(tmp_path, settings):
    """The addresses of .env, behind a proxy or not; internal names are for programs alone."""
    proxied = {
        **settings,
        "AIRFLOW_PUBLIC_URL": "https://airflow.example.com",
        "PROMETHEUS_PUBLIC_URL": "https://ops.example.com/prometheus",
        "GRAFANA_PUBLIC_URL": "https://ops.example.com/grafana",
    }
    document = configs.deployment(Places(), "backpack", {"feed-00": 9601}, {"shadow-00": 9651})
    (tmp_path / "deployment.yaml").write_text(yaml.safe_dump(document))
    for name in sorted(LINKING):
        environ = filled(MAIN, proxied)["services"][name]["environment"]
        deployment = load_deployment(tmp_path, environ)
        addresses = addresses_of(deployment)
        assert addresses.console == "https://airflow.example.com/plugin/backpack-migration"
        assert addresses.graph("up").startswith("https://ops.example.com/prometheus/graph?")
        dashboard = "https://ops.example.com/grafana/d/backpack-migration"
        assert addresses.grafana == f"{dashboard}?var-airflow={addresses.airflow}"
        assert deployment.airflow.url == "http://airflow-api-server:8080"
        assert deployment.prometheus_url == "http://prometheus:9090"


def test_each_user_interface_knows_what_it_is_called(settings):
    """For its own links and redirects; paths inside stay as programs ask for them."""
    parts = filled(MAIN, {**settings, "PROMETHEUS_PUBLIC_URL": "https://x.example.com/prom"})
    airflow = parts["services"]["airflow-api-server"]["environment"]
    assert airflow["AIRFLOW__API__BASE_URL"] == settings["AIRFLOW_PUBLIC_URL"]
    grafana = parts["services"]["grafana"]["environment"]
    assert grafana["GF_SERVER_ROOT_URL"] == f"{settings['GRAFANA_PUBLIC_URL']}/"
    command = parts["services"]["prometheus"]["command"]
    assert {"--web.external-url=https://x.example.com/prom", "--web.route-prefix=/"} <= set(command)
