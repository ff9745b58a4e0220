"""The incident page says what failed, by how much, and what was done; once, and without secrets."""

import io

import pytest
import yaml

from feed_migration import rollback
from feed_migration.deployment import load_deployment
from feed_migration.errors import DeploymentError, EnvironmentUnavailable, RollbackUnverified
from feed_migration.incident import incident_from
from feed_migration.journal import Journal
from feed_migration.markdown import cell, code, code_block
from feed_migration.report import document_incident, migration_report, migration_summary
from feed_migration.spool import Spool
from tests.support.memory_fleet import MemoryFleet
from tests.support.migration_plans import begin, gate, pass_steps


@pytest.fixture
def deployment(tmp_path):
    document = {
        "prometheus_url": "http://127.0.0.1:9",
        "instances": [{"id": "feed-00", "url": "http://127.0.0.1:9", "config": "c"}],
    }
    (tmp_path / "deployment.yaml").write_text(yaml.safe_dump(document))
    return load_deployment(tmp_path, {})


@pytest.fixture
def journal(deployment):
    return Journal(deployment.journal_url)


def roll_back(deployment, journal, migration_id, fleet):
    spool = Spool(deployment.spool_file, io.StringIO())
    result = rollback.revert(fleet, journal, migration_id, "ana", "gate said so", spool=spool)
    proof = rollback.verify(
        fleet, journal, migration_id, "ana", breach_at=result.breach_at, spool=spool
    )
    return result, proof


@pytest.fixture
def rolled_back(deployment, journal):
    fleet, migration_id = MemoryFleet(), begin(journal)
    pass_steps(journal, fleet, migration_id, until="cutover-50")
    gate(journal, migration_id, "cutover-50", "Rollback")
    roll_back(deployment, journal, migration_id, fleet)
    return migration_id


def test_an_incident_names_criteria_with_value_threshold_series_and_query(
    deployment, journal, rolled_back
):
    """The failure indicators, the instances before and after, the timeline, and the logs."""
    page = document_incident(deployment, journal, rolled_back, "ana").read_text()

    assert "| stale | 61 | failure \\>= 45 | instance\\_id=feed-00, symbol=SOL-USDC |" in page
    assert '* stale: `max by (symbol) (age{variant="native"})`' in page
    assert "| feed-00 | native | ccxt |" in page
    assert "| feed-09 | ccxt | ccxt |" in page
    assert "#### feed-00\n\n```text\nfeed-00: sequence gap\n```" in page
    assert "#### feed-09" not in page
    assert "rollback\\_verified" in page
    assert "| breach to verified rollback | 0." in page


def test_the_page_begins_with_the_runbook_and_grows_by_whole_incidents(
    deployment, journal, rolled_back
):
    """Documenting twice changes nothing; a second migration is a second section."""
    first = document_incident(deployment, journal, rolled_back, "ana").read_text()
    assert first.startswith("# Backpack: from ccxt to the native feed")
    assert document_incident(deployment, journal, rolled_back, "ana").read_text() == first
    kinds = [event.kind for event in journal.events(rolled_back)]
    assert kinds.count("incident_documented") == 1

    other = begin(journal)
    roll_back(deployment, journal, other, MemoryFleet())
    second = document_incident(deployment, journal, other, "ana").read_text()

    assert second.startswith(first)
    assert second.count("<!-- incident ") == 2
    assert "No gate gave a verdict" in second.removeprefix(first)


def test_without_a_journal_the_result_of_the_rollback_is_documented(deployment):
    """The database is down: reason, instances and logs are still on the page."""
    fleet = MemoryFleet()
    fleet.variant["feed-03"] = "native"
    result, proof = roll_back(deployment, None, "m7", fleet)

    page = document_incident(deployment, None, "m7", "ana", result=result, proof=proof).read_text()

    assert "| reason | gate said so |" in page
    assert "| feed-03 | native | ccxt |" in page
    assert "The journal was not available." in page
    assert "incident_documented" in deployment.spool_file.read_text()


def test_nothing_to_document_is_said(deployment, journal):
    """No rollback, no page."""
    migration_id = begin(journal)
    with pytest.raises(EnvironmentUnavailable, match="no rollback of mig-0001"):
        document_incident(deployment, journal, migration_id, "ana")
    assert incident_from(journal.events(migration_id)) is None
    assert not deployment.incidents_file.exists()


def test_the_summary_of_a_rollback_has_the_figures_of_the_report(journal, rolled_back):
    """Outcome, instances by variant, time from breach to rollback, audit."""
    events = journal.events(rolled_back)
    summary = migration_summary(events, {"feed-00": "ccxt", "feed-01": "ccxt"}, journal.verify())
    assert summary["outcome"] == "rolled_back"
    assert summary["instances"] == {"ccxt": 2}
    assert summary["breach_to_rollback_s"] >= 0
    assert (summary["phase"], summary["audit_ok"]) == ("cutover", True)
    assert "# Incident" in migration_report(events, {}, journal.verify())


def test_foreign_text_cannot_break_out_of_the_page():
    """A venue that sends markup, pipes or fences gets text."""
    assert cell("a|b\n<script>") == "a\\|b \\<script\\>"
    assert code("a`b") == "`` a`b ``"
    block = code_block(["```", "# heading"])
    assert block.startswith("````text\n")
    assert block.endswith("\n````")


def test_a_rollback_verified_later_is_said_on_the_page(deployment, journal):
    """The page was written while an instance was dry; the proof that came later is added, once."""
    fleet, migration_id = MemoryFleet(), begin(journal)
    fleet.variant["feed-03"] = "native"
    fleet.dry.add("feed-03")
    spool = Spool(deployment.spool_file, io.StringIO())
    rollback.revert(fleet, journal, migration_id, "ana", "gate said so", spool=spool)
    with pytest.raises(RollbackUnverified):
        rollback.verify(fleet, journal, migration_id, "ana", deadline_seconds=0.1, spool=spool)
    first = document_incident(deployment, journal, migration_id, "ana").read_text()
    assert "| breach to verified rollback | not verified |" in first

    fleet.dry.clear()
    rollback.verify(fleet, journal, migration_id, "ana", spool=spool)
    page = document_incident(deployment, journal, migration_id, "ana").read_text()
    again = document_incident(deployment, journal, migration_id, "ana").read_text()

    later = page.removeprefix(first)
    assert page.startswith(first)
    assert "rollback verified" in later
    assert "| feed-03 | native | ccxt |" in later
    assert "| breach to verified rollback | 0." in later
    assert "not verified" not in later
    assert again == page


@pytest.mark.parametrize("odd", [None, "soon", ["x"], {"a": 1}])
def test_an_incident_with_odd_bodies_is_still_documented(deployment, journal, odd):
    """Events of another version or hand lose their figures, not the page."""
    migration_id = begin(journal)
    body = {"epoch": odd, "reason": odd, "breach_at": odd, "instances": odd, "logs": odd}
    for kind in ("rollback_started", "rollback_verified"):
        body = {**body, "breach_to_rollback_seconds": odd}
        journal.append(kind, migration_id=migration_id, actor="ana", body=body)
    page = document_incident(deployment, journal, migration_id, "ana").read_text()
    assert f"{migration_id} rolled back" in page.replace("\\", "")


@pytest.mark.parametrize("name", ["PROMETHEUS_URL", "AIRFLOW_URL"])
@pytest.mark.parametrize("url", ["http://ana:hunter2@prom:9090", "prom:9090", "ftp://hunter2"])
def test_a_url_of_the_environment_is_checked_like_one_of_the_file(deployment, name, url):
    """A password in it would reach messages and links; the refusal does not repeat it."""
    with pytest.raises(DeploymentError, match=name) as caught:
        load_deployment(deployment.home, {name: url})
    assert "hunter2" not in str(caught.value)
    assert load_deployment(deployment.home, {name: "http://prom:9090"}).home == deployment.home


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("state/j.db", "sqlite:///{home}/state/j.db"),
        ("sqlite:///j.db", "sqlite:///{home}/j.db"),
        ("sqlite:////srv/j.db", "sqlite:////srv/j.db"),
        ("postgresql://h/j", "postgresql://h/j"),
    ],
)
def test_a_relative_journal_means_the_state_directory(tmp_path, written, read):
    """Airflow and a shell in another directory must not keep two journals."""
    document = {
        "prometheus_url": "http://127.0.0.1:9090",
        "journal_url": written,
        "instances": [{"id": "feed-00", "url": "http://127.0.0.1:1", "config": "feed-00.yaml"}],
    }
    (tmp_path / "deployment.yaml").write_text(yaml.safe_dump(document))
    assert load_deployment(tmp_path, {}).journal_url == read.format(home=tmp_path)
