"""Rollbacks that Airflow does not see are told by guard and shell, in the same words and once."""

import json
from contextlib import contextmanager

import pytest
import yaml

from feed_migration.cli.app import run
from feed_migration.deployment import load_deployment
from feed_migration.errors import DeploymentError, ExposedUnlisted
from feed_migration.guard import reverting as guards
from feed_migration.guard.metrics import guard_families
from feed_migration.guard.process import Guard
from feed_migration.journal.keys import AuditPlace, make_key
from feed_migration.journal.notice_ledger import Stage
from feed_migration.journal.store import Journal
from feed_migration.notices.outlet import SendFailed
from feed_migration.notices.outside import LAST_RESORT_SECONDS, rollback_told
from feed_migration.notices.webhook import read_url
from feed_migration.rollback import RollbackVerified
from tests.support.conditions import eventually_sync
from tests.support.folder_contents import contents
from tests.support.guard_stage import STEP
from tests.support.guard_stage import Stage as GuardStage
from tests.support.inboxes import web_inbox

SECRET = "T0P-s3cret-path"
PROOF = RollbackVerified(
    instances={"feed-00": "ccxt"}, breach_at=0.0, breach_to_rollback_seconds=3.0
)


@pytest.fixture
def inbox():
    with web_inbox() as inbox:
        yield inbox


@pytest.fixture
def stage(tmp_path, inbox, monkeypatch):
    """A deployment with a channel that guard and shell reach by a file."""
    stage = GuardStage(tmp_path)
    url_file = tmp_path / "oncall"
    url_file.touch(mode=0o600)
    url_file.write_text(f"{inbox.url}/{SECRET}\n")
    document = yaml.safe_load((tmp_path / "deployment.yaml").read_text())
    document["notifications"] = [{"name": "oncall", "kind": "webhook", "url_file": "oncall"}]
    (tmp_path / "deployment.yaml").write_text(yaml.safe_dump(document))
    stage.deployment = load_deployment(tmp_path, {})
    monkeypatch.setattr(guards, "open_fleet", lambda _: stage.fleet)
    return stage


@contextmanager
def guarding(stage):
    guard = Guard(
        stage.deployment,
        stage.plan_path,
        actor="guard:here",
        clock=lambda: stage.clock.unix,
        monotonic=lambda: stage.clock.monotonic,
    )
    try:
        yield guard
    finally:
        guard.close()


def test_the_guard_tells_of_a_rollback_that_it_does(stage, inbox):
    """Begun with its reason, then verified; nothing of it twice."""
    stage.goes_to(STEP)
    stage.says("verdict", step=STEP, run="1", decision="Rollback", at_seconds=3.0, reasons=[])
    with guarding(stage) as guard:
        guard.poll()
        eventually_sync(lambda: inbox.kinds() == ["rollback", "rolled_back"], describe=inbox.kinds)
        guard.poll()
    assert stage.fleet.native == []
    assert inbox.texts[0].startswith("ROLLBACK: ")
    assert inbox.texts[1].startswith("BACK ON CCXT: ccxt data flows on all 4 instances")
    assert set(inbox.paths) == {f"/{SECRET}"}


def test_the_guard_tells_of_a_step_that_begins_where_no_task_does(stage, inbox):
    """Behind a gate that is parked for a day no process of Airflow lives that could tell."""
    stage.goes_to(STEP)
    stage.says("step_started", step=STEP, run="1")
    with guarding(stage):
        stage.clock.passes(LAST_RESORT_SECONDS)
        eventually_sync(
            lambda: inbox.texts and inbox.texts[-1].startswith(f"{STEP} begins"),
            describe=lambda: inbox.texts,
        )
    assert LAST_RESORT_SECONDS <= 10.0


def test_without_a_journal_the_guard_tells_all_the_same(stage, inbox):
    """The database is down, the fleet goes back, and people hear of it."""
    stage.goes_to(STEP)
    home = stage.deployment.home
    with guarding(stage) as guard:
        guard.poll()
        backup = stage.back_up()
        stage.journal_goes_away()

        def told_after_a_while() -> bool:
            stage.clock.passes(5.0)
            guard.poll()
            return inbox.kinds() == ["rollback", "rolled_back"]

        eventually_sync(told_after_a_while, 30, describe=inbox.kinds)
        eventually_sync(lambda: len(json.loads((home / "guard/told.json").read_text())) == 2)
        stage.restore(backup)
        eventually_sync(lambda: (home / "guard/told.json").read_text().strip() == "[]", 20)
    journal = Journal(home / "journal.db", home=home)
    rows = [
        row
        for rows in journal.notice_ledger().attempts(stage.migration_id).values()
        for row in rows
    ]
    assert {(row.key, row.stage) for row in rows} >= {
        ("rollback 1", Stage.TOLD),
        ("rolled back 1", Stage.TOLD),
    }
    assert inbox.kinds() == ["rollback", "rolled_back"]


def test_a_guard_without_the_signing_key_tells_all_the_same(stage, inbox, tmp_path):
    """Its rollback waits in the spool, where nobody reads of it."""
    stage.goes_to(STEP)
    airflow = tmp_path / "airflow"
    airflow.mkdir()
    make_key(AuditPlace.of(airflow, {}), since=stage.journal.events()[-1].seq + 1)
    stage.journal = Journal(stage.deployment.journal_url, home=airflow)
    stage.says("verdict", step=STEP, run="1", decision="Rollback", at_seconds=3.0, reasons=[])
    with guarding(stage) as guard:
        guard.poll()
        eventually_sync(lambda: inbox.kinds() == ["rollback", "rolled_back"], describe=inbox.kinds)
    assert stage.fleet.native == []
    assert stage.journal.verify().ok


def test_the_shell_tells_with_nobody_else_there(stage, inbox):
    """No guard, no Airflow, no journal."""
    with rollback_told(stage.deployment, None, "mig-1", "cli:ann", "consumers complain") as told:
        told(PROOF)
    assert inbox.texts[0].startswith("ROLLBACK: consumers complain")
    assert "cli:ann" in inbox.texts[0]
    assert inbox.kinds() == ["rollback", "rolled_back"]


def test_links_of_guard_and_shell_lead_to_where_browsers_come(stage, inbox, monkeypatch):
    """As the environment of their container says, and a mistake in the rest of it stops nobody."""
    public = {
        "AIRFLOW_PUBLIC_URL": "https://airflow.example.com",
        "PROMETHEUS_PUBLIC_URL": "https://prometheus.example.com",
        "GRAFANA_URL": "https://grafana.example.com/d/x",
    }
    for name, url in {**public, "PROMETHEUS_URL": "nonsense"}.items():
        monkeypatch.setenv(name, url)
    monkeypatch.setenv("BACKPACK_HOME", str(stage.deployment.home))
    monkeypatch.setattr("feed_migration.cli.acts.open_fleet", lambda _: stage.fleet)
    stage.goes_to(STEP)
    assert run(["rollback", "--reason", "consumers complain"]) == 0
    assert inbox.kinds() == ["rollback", "rolled_back"]
    for body in inbox.bodies:
        assert {"console", "dashboard"} <= set(body["links"])
        assert all(url.startswith(tuple(public.values())) for url in body["links"].values())


def test_a_channel_that_hangs_does_not_keep_the_shell_for_long(stage, inbox, monkeypatch):
    """The fleet is back; what a person waits for is bounded."""
    monkeypatch.setattr("feed_migration.notices.outside.CLOSE_SECONDS", 0.2)
    inbox.hangs.set()
    with rollback_told(stage.deployment, None, "mig-1", "cli:ann", "why") as told:
        told(PROOF)
    assert inbox.kinds() == []


def test_the_url_is_in_no_file_but_its_own(stage, inbox):
    """Journal, logs of the table and what was told hold names of channels, never addresses."""
    inbox.status = 500
    stage.goes_to(STEP)
    stage.says("verdict", step=STEP, run="1", decision="Rollback", at_seconds=3.0, reasons=[])
    with guarding(stage) as guard:
        guard.poll()
        eventually_sync(
            lambda: any(
                event.body.get("note") == "notice_failed"
                for event in stage.journal.events(kind="audit_note")
            )
        )
    files = contents(stage.deployment.home)
    assert SECRET.encode() in files.pop("oncall")
    assert [name for name, raw in files.items() if SECRET.encode() in raw] == []


@pytest.mark.parametrize(
    ("text", "mode", "says"),
    [
        ("ftp://example.com/x", 0o600, "no http"),
        ("not a url", 0o600, "no http"),
        ("http://example.com/x", 0o644, "chmod"),
    ],
)
def test_a_url_file_that_cannot_be_used_says_so_without_its_content(tmp_path, text, mode, says):
    """The remedy names the file; what is in it may be the secret."""
    path = tmp_path / "url"
    path.write_text(text)
    path.chmod(mode)
    with pytest.raises(SendFailed, match=says) as caught:
        read_url(path)
    assert text not in str(caught.value)


@pytest.mark.parametrize(
    ("channel", "says"),
    [
        ({"name": "x", "kind": "slack"}, "connection"),
        ({"name": "x", "kind": "email", "connection": "smtp"}, "to"),
        ({"name": "x", "kind": "webhook", "connection": "c", "to": ["a@b.example"]}, "email only"),
        ({"name": "x", "kind": "pigeon", "connection": "c"}, "pigeon"),
        ({"name": "x", "kind": "slack", "connection": "c", "kinds": ["helt"]}, "helt"),
        ({"name": "x", "kind": "slack", "token": "abc"}, "token"),
    ],
)
def test_a_channel_that_could_never_send_is_a_mistake_of_the_file(stage, channel, says):
    """One line with the place."""
    path = stage.deployment.home / "deployment.yaml"
    document = yaml.safe_load(path.read_text()) | {"notifications": [channel]}
    path.write_text(yaml.safe_dump(document))
    with pytest.raises(DeploymentError, match=says):
        load_deployment(stage.deployment.home, {})


def test_the_guard_names_who_cannot_be_proven_until_it_is(stage, inbox):
    """In a notice and by a metric; the deployment has lost an instance that runs on native."""
    stage.goes_to(STEP)
    stage.says("verdict", step=STEP, run="1", decision="Rollback", at_seconds=3.0, reasons=[])
    lost = stage.fleet.variant.pop("feed-00")
    stage.fleet.forgotten.add("feed-00")
    with guarding(stage) as guard:
        guard.poll()
        assert unproven(guard) == {"feed-00"}
        eventually_sync(lambda: inbox.kinds() == ["rollback", "rollback"], describe=inbox.kinds)
        assert inbox.texts[1].startswith("NOT PROVEN ON CCXT: feed-00: was exposed, still is there")
        stage.fleet.variant["feed-00"] = lost
        stage.clock.passes(60.0)
        guard.poll()
        assert unproven(guard) == set()
    assert stage.fleet.native == []


def unproven(guard):
    name = "feed_migration_guard_unproven_instance"
    families = {family.name: family for family in guard_families(guard.health)}
    return {sample.labels["instance_id"] for sample in families[name].samples}


def test_a_shell_without_a_journal_tells_who_cannot_be_proven(stage, inbox):
    """Nobody else may know of it."""
    with (
        pytest.raises(ExposedUnlisted),
        rollback_told(stage.deployment, None, "mig-1", "ann", "stale"),
    ):
        raise ExposedUnlisted(("feed-00",), 1.0)
    assert inbox.texts[-1].startswith("NOT PROVEN ON CCXT: feed-00")
