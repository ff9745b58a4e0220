"""Critical alerts reach a pager: .env says which, Prometheus follows it, and no secret is readable."""

import json
import stat

import pytest
import requests
import yaml
from prometheus_client import start_http_server

from tests.compose.files import MAIN, REPOSITORY, filled, make_env, settings_in
from tests.support.conditions import eventually_sync
from tests.support.inboxes import web_inbox
from tests.support.prometheus_server import PrometheusServer, free_port
from tools.compose.alerting import discovery, write_alerting
from tools.compose.places import ALERTMANAGER_URL, ComposeError, Places

OWN = {"ALERTMANAGER_URLS": ALERTMANAGER_URL, "ALERT_PAGER": "T0P-s3cret"}
CONFIGS = sorted((REPOSITORY / "deploy/alertmanager").glob("*.yaml"))


@pytest.fixture
def places(tmp_path):
    """The volumes as the image makes them."""
    places = Places(root=tmp_path)
    for folder in (places.targets, places.pager.parent):
        folder.mkdir()
    return places


def written(places):
    return json.loads(places.alertmanagers.read_text())


def test_prometheus_is_told_where_alertmanagers_are(places):
    """With scheme and path, as its discovery takes them; other users read file and folder."""
    urls = "https://am.example.com/prod/, http://10.0.0.5:9093 http://[::1]:9093"
    said = write_alerting(places, {"ALERTMANAGER_URLS": urls})
    assert written(places) == [
        {
            "targets": [target],
            "labels": {"scheme": scheme, "path": f"{path}/api/v2/alerts"},
        }
        for target, scheme, path in (
            ("am.example.com:443", "https", "/prod"),
            ("10.0.0.5:9093", "http", ""),
            ("[::1]:9093", "http", ""),
        )
    ]
    assert stat.S_IMODE(places.alertmanagers.stat().st_mode) == 0o644
    assert stat.S_IMODE(places.alertmanagers.parent.stat().st_mode) == 0o755
    assert "critical alerts go to https://am.example.com/prod/" in said


def test_that_nobody_is_woken_is_said(places):
    """At every `up`, until .env names somebody; and it can be taken back."""
    write_alerting(places, OWN)
    assert "wake nobody" in write_alerting(places, {})
    assert written(places) == []


def test_the_pagers_secret_is_for_alertmanager_alone(places):
    """Its group reads it; Prometheus's file of targets is in another volume."""
    write_alerting(places, OWN)
    assert places.pager.read_text() == OWN["ALERT_PAGER"]
    assert stat.S_IMODE(places.pager.stat().st_mode) == 0o640
    assert OWN["ALERT_PAGER"] not in places.alertmanagers.read_text()


def test_an_alertmanager_that_could_wake_nobody_is_refused(places):
    """With the remedy, before anything starts."""
    with pytest.raises(ComposeError, match="ALERT_PAGER is empty"):
        write_alerting(places, {**OWN, "ALERT_PAGER": " "})


@pytest.mark.parametrize(
    "url",
    ["am:9093", "ftp://am", "http://", "http://ann:hunter2@am", "http://am:x", "http://am/?a=b"],
)
def test_what_is_no_address_is_refused_without_its_text(url):
    """It may hold a password."""
    with pytest.raises(ComposeError, match="ALERTMANAGER_URLS") as refused:
        discovery([url])
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize("name", ["prometheus.yaml", "sandbox.yaml"])
def test_prometheus_reads_what_init_writes(name):
    """In the folder that its container mounts."""
    config = yaml.safe_load((REPOSITORY / "deploy/prometheus" / name).read_text())
    ((found,),) = [one["file_sd_configs"] for one in config["alerting"]["alertmanagers"]]
    alertmanagers = Places().alertmanagers
    assert str(alertmanagers.with_name("*.json")) in found["files"]
    # nor is it taken for a part of the fleet
    fleet = [file for job in config["scrape_configs"] for sd in job.get("file_sd_configs", ())
             for file in sd["files"]]  # fmt: skip
    assert fleet
    assert not any(alertmanagers.full_match(pattern) for pattern in fleet)


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_a_configuration_wakes_for_what_is_critical_and_for_nothing_else(path):
    """Its secret is the file that `init` writes, and no other is in it."""
    config = yaml.safe_load(path.read_text())
    receivers = {receiver["name"]: receiver for receiver in config["receivers"]}
    assert set(receivers[config["route"]["receiver"]]) == {"name"}
    (route,) = config["route"]["routes"]
    assert route["matchers"] == ['severity="critical"']
    ((kind, (way,)),) = [item for item in receivers[route["receiver"]].items() if item[0] != "name"]
    assert kind == f"{path.stem}_configs"
    assert str(Places().pager) in way.values()
    assert way["send_resolved"] is True


RULE = """
groups:
- name: answers
  interval: 200ms
  rules:
  - {alert: Answers, expr: up == 1, labels: {severity: critical}}
"""


def test_an_alert_comes_to_whom_env_names_and_a_change_restarts_nothing(places, tmp_path):
    """A real Prometheus with the shipped `alerting`, its folder moved to the test's."""
    shipped = (REPOSITORY / "deploy/prometheus/prometheus.yaml").read_text()
    here = shipped.replace(str(Places().targets), str(places.targets))
    (tmp_path / "rule.yaml").write_text(RULE)
    more = {
        "alerting": yaml.safe_load(here)["alerting"],
        "rule_files": [str(tmp_path / "rule.yaml")],
    }
    write_alerting(places, {})
    port = free_port()
    prometheus = PrometheusServer(tmp_path, port, more)
    try:
        prometheus.start()
        with web_inbox() as inbox:
            write_alerting(places, {"ALERTMANAGER_URLS": f"{inbox.url}/prod"})
            told = f"{inbox.url}/prod/api/v2/alerts"
            eventually_sync(lambda: told in alertmanagers_of(prometheus), 20)
            # now the alert begins to fire
            server, thread = start_http_server(port, addr="127.0.0.1")
            eventually_sync(lambda: inbox.bodies, 20)
            server.shutdown()
            thread.join()
            server.server_close()
            assert set(inbox.paths) == {"/prod/api/v2/alerts"}
            assert inbox.bodies[0][0]["labels"]["alertname"] == "Answers"
    finally:
        prometheus.kill()


def alertmanagers_of(prometheus):
    """Their addresses as Prometheus knows them now."""
    found = requests.get(f"{prometheus.url}/api/v1/alertmanagers", timeout=5).json()["data"]
    return [one["url"] for one in found["activeAlertmanagers"]]


def test_make_env_takes_an_alertmanager_of_its_own_or_an_address(tmp_path):
    """Its own one comes with its profile; a mistake is refused in one line."""
    own, other, bad = (tmp_path / name for name in ("own", "other", "bad"))
    make_env(own, ALERTMANAGER="own")
    make_env(other, ALERTMANAGER="https://am.example.com", VENUE="backpack")
    assert settings_in(own)["COMPOSE_PROFILES"] == "sandbox,alertmanager"
    assert settings_in(own)["ALERTMANAGER_URLS"] == ALERTMANAGER_URL
    assert settings_in(other)["COMPOSE_PROFILES"] == ""
    assert settings_in(other)["ALERTMANAGER_URLS"] == "https://am.example.com"
    refused = make_env(bad, ALERTMANAGER="am.example.com")
    assert (refused.returncode, len(refused.stderr.splitlines())) == (2, 1)


def test_make_env_says_where_the_profile_is_missing_in_an_old_file(tmp_path):
    """What is in .env is never overwritten."""
    path = tmp_path / ".env"
    make_env(path)
    path.write_text(path.read_text().replace("ALERTMANAGER_URLS=\n", ""))
    assert "add alertmanager to COMPOSE_PROFILES" in make_env(path, ALERTMANAGER="own").stderr


def test_the_service_reads_what_init_writes_and_prometheus_reaches_it(tmp_path):
    """The same volume, a network in common, a way out to the pager, a configuration that is there."""
    make_env(tmp_path / ".env", ALERTMANAGER="own")
    services = filled(MAIN, settings_in(tmp_path / ".env"))["services"]
    service, init = services["alertmanager"], services["init"]
    folder = str(Places().pager.parent)
    assert f"alerting:{folder}:ro" in service["volumes"]
    assert f"alerting:{folder}" in init["volumes"]
    assert service["user"].split(":")[1] == init["user"].split(":")[1]
    assert {"ALERTMANAGER_URLS", "ALERT_PAGER"} <= set(init["environment"])
    assert "control" in set(service["networks"]) & set(services["prometheus"]["networks"])
    assert "outside" in service["networks"]
    (config,) = [word for word in service["command"] if word.startswith("--config.file=")]
    assert config.rpartition("/")[2] in {path.name for path in CONFIGS}
