"""What `make compose-check` judges by, as far as it needs no engine."""

import json
from pathlib import Path

import pytest
import requests

from tests.compose.files import CELERY, MAIN, merged, services, settings_in, variables
from tests.support.conditions import eventually_sync
from tests.support.http_server import http_server, send, serving
from tools.compose_check import alerts, pager, stand_ins
from tools.compose_check.engine import CheckError, mounts_below
from tools.compose_check.hardening import findings, secrets_in
from tools.compose_check.parts import TOOLS, Parts
from tools.compose_check.project import make_env
from tools.compose_check.workers import attempts_by_host, require_one_host

ALL = Parts(celery=True, alertmanager=True, grafana=True)


def answering(document):
    """A server that answers every question with `document`."""
    return http_server(lambda request: send(request, (200, {}, json.dumps(document).encode())))


def test_every_image_of_others_has_a_stand_in_but_grafanas():
    """Under the tag that the files name, so that a new tag needs no second place."""
    images = {
        name: tag
        for path in (MAIN, CELERY)
        for name, _, tag in variables(path)
        if name.endswith("_IMAGE")
    }
    assert images == stand_ins.TAGS
    stood_in = {stand_in.tag for stand_in in stand_ins.STAND_INS}
    assert stood_in == set(images.values()) - {images["GRAFANA_IMAGE"], images["PYTHON_IMAGE"]}
    users = {stand_in.service: stand_in.tag for stand_in in stand_ins.STAND_INS}
    for name, tag in users.items():
        assert tag in merged()[name]["image"]


def test_the_parts_are_the_files_profiles_and_services_that_run():
    """All of them are all services but those that are run by hand; by default what always runs."""
    assert merged().keys() - ALL.left_out == merged().keys() - TOOLS
    assert services().keys() - Parts().left_out == services().keys() - TOOLS - {
        "grafana",
        "alertmanager",
    }
    assert ALL.files == (MAIN.name, CELERY.name)
    assert ALL.profiles == ("sandbox", "alertmanager")
    assert Parts().files == (MAIN.name,)


def test_the_check_makes_its_env_with_an_alertmanager_and_a_pager_of_its_own(tmp_path):
    """What stands there first stays; the pager's address is a secret like any other."""
    path = tmp_path / ".env"
    made = make_env(path, {"ALERTMANAGER_PORT": "19093", **alerts.pager_settings()}, ALL)
    assert made["COMPOSE_PROFILES"] == "sandbox,alertmanager"
    assert made["ALERTMANAGER_PUBLIC_URL"] == "http://127.0.0.1:19093"
    assert made["ALERTMANAGER_CONFIG"] == "slack.yaml"
    assert secrets_in(made)["ALERT_PAGER"].startswith("http://guard:")
    make_env(path, {}, Parts())
    # empty it would be in every log
    assert settings_in(path)["ALERT_PAGER"] == ""
    assert "ALERT_PAGER" not in secrets_in(settings_in(path))


class Deployment:
    """`containers` of a project as docker inspects them, each with the log `said`."""

    def __init__(self, said, **services):
        self.said = said
        self.services = services
        self.engine = self

    def containers(self):
        return self.services

    def docker(self, *_arguments, check):
        return self.said


def inspected(**changes):
    """A container that holds to everything and runs no more."""
    config = {"User": "999:999", "Env": changes.pop("Env", [])}
    host = {
        "ReadonlyRootfs": True,
        "CapDrop": ["ALL"],
        "CapAdd": None,
        "SecurityOpt": ["no-new-privileges:true"],
        "Privileged": False,
        "Memory": 1,
        "PidsLimit": 1,
        "NanoCpus": 1,
        "LogConfig": {"Config": {"max-size": "10m"}},
        "RestartPolicy": {"Name": "unless-stopped"},
        "PortBindings": {"9093/tcp": [{"HostIp": "127.0.0.1"}]},
        **changes,
    }
    state = {"Running": False}
    return {"Id": "0", "State": state, "HostConfig": host, "Config": config, "Path": "sh", "Args": ["-c"]}  # fmt: skip


def test_the_password_of_redis_is_in_its_own_environment_and_in_no_other():
    """Nor in a log: its image wants it from there, as PostgreSQL's does."""
    told = inspected(Env=["REDISCLI_AUTH=hunter2"])
    secret = {"REDIS_PASSWORD": "hunter2"}
    assert findings(Deployment("ready", redis=told), secret) == []
    found = {"airflow-worker": told, "redis": inspected()}
    assert findings(Deployment("redis://:hunter2@redis", **found), secret) == [
        "airflow-worker: REDIS_PASSWORD is in its environment",
        "airflow-worker: REDIS_PASSWORD is in its log",
        "redis: REDIS_PASSWORD is in its log",
    ]


def test_what_is_not_locked_down_is_a_finding_of_its_service():
    """Whatever it is called."""
    open_to_all = inspected(ReadonlyRootfs=False, PortBindings={"9093/tcp": [{"HostIp": ""}]})
    assert findings(Deployment("", alertmanager=open_to_all), {}) == [
        "alertmanager: its root can be written",
        "alertmanager: is published on every address",
    ]


def test_tasks_ran_on_the_worker_alone_or_the_check_fails():
    """The scheduler's own processes, another host and no task at all are no proof."""
    assert require_one_host(attempts_by_host("3f2a9c|41\n"), "3f2a9c") == 41
    with pytest.raises(CheckError, match=r"ran on 77aa01, not on the worker 3f2a9c"):
        require_one_host(attempts_by_host("3f2a9c|41\n77aa01|1\n"), "3f2a9c")
    with pytest.raises(CheckError, match="no task"):
        require_one_host(attempts_by_host("\n"), "3f2a9c")


def test_what_an_engine_left_mounted_is_taken_off_from_within():
    """Its folder cannot be removed before; what only begins with the same letters is another's."""
    mounts = (
        "nsfs /tmp/check/engine/exec/netns/default nsfs rw 0 0\n"
        "overlay /tmp/check/engine/data/a/merged overlay rw 0 0\n"
        "tmpfs /tmp/check/engine/data/a tmpfs rw 0 0\n"
        "tmpfs /tmp/check/engine-2 tmpfs rw 0 0\n"
    )
    assert mounts_below(Path("/tmp/check/engine"), mounts) == [
        "/tmp/check/engine/exec/netns/default",
        "/tmp/check/engine/data/a/merged",
        "/tmp/check/engine/data/a",
    ]


def test_a_pager_counts_what_came_to_its_secret_path(tmp_path):
    """As Alertmanager writes to Slack; told elsewhere is told to nobody."""
    told = tmp_path / "told"
    with serving(pager.serving(0, told, "127.0.0.1")) as url:
        for path, title in (("/s3cret", "FIRING: A"), ("/", "FIRING: B"), ("/s3cret", "RESOLVED: A")):  # fmt: skip
            message = {"attachments": [{"title": title, "text": "…"}]}
            assert requests.post(url + path, json=message, timeout=5).status_code == 200
    assert pager.titles(told.read_text(), "/s3cret") == ["FIRING: A", "RESOLVED: A"]
    assert pager.titles("cat: /tmp/told: No such file or directory\n", "/s3cret") == []


def test_the_pager_runs_where_its_file_is():
    """The guard's image has `tools`, and nothing else of the check is imported there."""
    assert "guard" in merged()
    text = Path(pager.__file__).read_text()
    assert "from tools" not in text
    assert "import tools" not in text


def test_critical_alerts_are_those_that_alertmanager_has_meanwhile():
    """It is asked for them alone."""
    document = [{"labels": {"alertname": "BackpackRollbackBegun", "severity": "critical"}}]
    with answering(document) as url, alerts.critical_alerts(url) as seen:
        eventually_sync(lambda: seen == {"BackpackRollbackBegun"}, 20)


def test_a_prometheus_that_tells_another_alertmanager_does_not_pass(monkeypatch):
    """Ours by its address, and among those that are active."""
    monkeypatch.setattr(alerts, "DEADLINE_SECONDS", 0.1)
    ours, other = "http://alertmanager:9093/api/v2/alerts", "http://am:9093/api/v2/alerts"
    with answering({"data": {"activeAlertmanagers": [{"url": other}, {"url": ours}]}}) as url:
        alerts.require_known(url)
    dropped = {"activeAlertmanagers": [{"url": other}], "droppedAlertmanagers": [{"url": ours}]}
    with (
        answering({"data": dropped}) as url,
        pytest.raises(CheckError, match="not among Prometheus's active"),
    ):
        alerts.require_known(url)
