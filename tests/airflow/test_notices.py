"""Notices out of real DAG runs, by Airflow's notifiers and connections, to servers on loopback."""

import json
import logging
import time

import pytest
import yaml

from feed_migration.orchestration.telling import TellNotifier
from tests.airflow.conftest import Stage, steady
from tests.airflow.test_runs import bad_once_native
from tests.support.conditions import eventually_sync
from tests.support.folder_contents import contents
from tests.support.inboxes import mail_inbox, web_inbox
from tests.support.migration_plans import begin

SECRET = "hXq7-planted-canary-Zt4"


@pytest.fixture
def web():
    with web_inbox() as inbox:
        yield inbox


@pytest.fixture
def mail():
    with mail_inbox() as inbox:
        yield inbox


def connect(monkeypatch, name, **values):
    monkeypatch.setenv(f"AIRFLOW_CONN_{name.upper()}", json.dumps(values))


def notify(stage: Stage, *channels):
    path = stage.home / "deployment.yaml"
    document = yaml.safe_load(path.read_text()) | {"notifications": list(channels)}
    path.write_text(yaml.safe_dump(document))


@pytest.fixture
def hooked(stage: Stage, web, monkeypatch):
    """A webhook whose connection holds a secret."""
    port = int(web.url.rpartition(":")[2])
    connect(
        monkeypatch,
        "hook",
        conn_type="http",
        host="127.0.0.1",
        schema="http",
        port=port,
        password=SECRET,
        login="bot",
    )
    notify(stage, {"name": "hook", "kind": "webhook", "connection": "hook", "endpoint": "notices"})
    return stage


def test_a_whole_migration_is_told_once_per_event(hooked: Stage, web):
    """Every step that begins, and the end; tasks, callbacks and teardowns all looked."""
    assert hooked.run("backpack_migration", reason="a test") == "success"
    eventually_sync(lambda: "done" in web.kinds(), describe=web.kinds)
    titles = [body["title"] for body in web.bodies]
    assert titles == [
        "Migration begun",
        "dry_run begins",
        "shadow begins",
        "cutover-50 begins",
        "cutover-100 begins",
        "stabilisation begins",
        "post_migration begins",
        "DONE",
    ]
    assert set(web.paths) == {"/notices"}


def test_a_rollback_is_told_with_its_reason(hooked: Stage, web):
    """What failed, by how much, and where to look."""
    hooked.prometheus.script = bad_once_native(hooked)
    assert hooked.run("backpack_migration") == "failed"
    eventually_sync(lambda: "rolled_back" in web.kinds(), describe=web.kinds)
    (begun,) = [body for body in web.bodies if body["kind"] == "rollback"]
    assert "errors" in begun["reason"]
    assert begun["text"].startswith(f"ROLLBACK: {begun['reason']}")
    assert begun["links"]["errors"].startswith(f"{hooked.prometheus.url}/graph")
    assert web.kinds().count("rolled_back") == 1


def test_a_rollback_by_the_form_leads_to_its_own_run(hooked: Stage, web):
    """Where somebody sees how far the way back is."""
    begin(hooked.journal)
    assert hooked.run("backpack_rollback", reason="consumers complain", confirm=True) == "success"
    eventually_sync(lambda: "rolled_back" in web.kinds(), describe=web.kinds)
    for body in web.bodies[-2:]:
        assert "/dags/backpack_rollback/runs/" in body["links"]["DAG run"], body
    assert web.texts[-1].splitlines()[0].endswith("s after it began")


def test_a_hold_is_told(hooked: Stage, web):
    """Nothing is proven, and somebody has to look."""

    def silent_on_native(query: str):
        return [(labels, float("nan") if hooked.natives else 0.0) for labels, _ in steady(query)]

    hooked.prometheus.script = silent_on_native
    assert hooked.run("backpack_migration") == "failed"
    eventually_sync(lambda: "held" in web.kinds(), describe=web.kinds)
    (held,) = [body for body in web.bodies if body["kind"] == "held"]
    assert held["title"] == "HELD at cutover-50"


def test_a_server_that_refuses_fails_no_task_and_is_visible(hooked: Stage, web):
    """The migration is as good as without notices; the audit log says who was not told."""
    web.status = 500
    assert hooked.run("backpack_dry_run") == "success"
    failed = [
        event.body
        for event in hooked.journal.events(kind="audit_note")
        if event.body["note" if "note" in event.body else "step"] == "notice_failed"
    ]
    assert {note["channel"] for note in failed} == {"hook"}
    assert "500" in failed[0]["error"]
    assert hooked.journal.verify().ok


def test_a_server_that_hangs_delays_no_act(hooked: Stage, web, monkeypatch):
    """What a callback waits for comes after the task's success was put down, and is bounded."""
    monkeypatch.setattr("feed_migration.orchestration.telling.CALLBACK_SECONDS", 0.3)
    web.hangs.set()
    dag = hooked.dag("backpack_dry_run")
    for task in dag.tasks:
        for callback in [*task.on_success_callback, *task.on_failure_callback]:
            callback.seconds = 0.3
    from tests.airflow.conftest import run_state

    began = time.monotonic()
    assert run_state(dag) == "success"
    assert time.monotonic() - began < 25
    assert web.bodies == []


def test_mail_and_slack_get_the_same_words(stage: Stage, web, mail, monkeypatch):
    """Through the providers' own notifiers; a mail's subject is the headline."""
    connect(
        monkeypatch,
        "mail",
        conn_type="smtp",
        host="127.0.0.1",
        port=mail.port,
        extra={"disable_ssl": True, "disable_tls": True, "timeout": 3, "retry_limit": 1},
    )
    connect(
        monkeypatch,
        "chat",
        conn_type="slackwebhook",
        host=web.url,
        password=f"T000/B000/{SECRET}",
    )
    people = {"to": ["oncall@example.com"], "sender": "migration@example.com"}
    notify(
        stage,
        {"name": "mail", "kind": "email", "connection": "mail", **people},
        {"name": "chat", "kind": "slack", "connection": "chat"},
    )
    assert stage.run("backpack_dry_run", reason="x") == "success"
    eventually_sync(lambda: len(mail.mails) == 2 and len(web.bodies) == 2)
    assert mail.subjects[0].startswith("Migration begun: plan airflow-tests")
    assert mail.mails[0]["To"] == "oncall@example.com"
    assert web.texts[0].startswith("*Migration begun: plan airflow-tests")
    assert web.paths[0] == f"/T000/B000/{SECRET}"


@pytest.mark.parametrize("status", [200, 500])
def test_the_secret_of_a_connection_is_found_nowhere(hooked: Stage, web, caplog, capfd, status):
    """Neither where it is taken nor where the server says it back: journal, files, logs, database."""
    import base64

    caplog.set_level(logging.DEBUG)
    web.status = status
    assert hooked.run("backpack_dry_run", reason="x") == "success"
    assert web.paths
    basic = base64.b64encode(f"bot:{SECRET}".encode()).decode()
    assert any(basic in headers.get("Authorization", "") for headers in web.headers)
    captured = capfd.readouterr()
    texts = {"logs": caplog.text, "stdout": captured.out, "stderr": captured.err}
    for name, raw in contents(hooked.home).items():
        texts[name] = raw.decode("utf-8", "replace")
    texts["airflow"] = airflow_dump()
    for form in (SECRET, basic):
        assert [name for name, text in texts.items() if form in text] == []


def airflow_dump() -> str:
    """Every row of Airflow's database that a run leaves, as text."""
    from airflow import settings
    from sqlalchemy import MetaData, select

    metadata = MetaData()
    with settings.engine.connect() as connection:
        metadata.reflect(connection)
        return "\n".join(
            str(row)
            for table in metadata.sorted_tables
            for row in connection.execute(select(table))
        )


def test_who_tells_never_raises(stage: Stage):
    """A broken deployment.yaml must fail no task, nor the question to a person."""
    (stage.home / "deployment.yaml").write_text("instances: [")
    from feed_migration.orchestration.place import current_place

    TellNotifier(current_place())({})
