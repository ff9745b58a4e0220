"""The incident page says what failed, by how much, and what was done; once, and without secrets."""

import io

import pytest
import yaml

from feed_migration import rollback
from feed_migration.deployment import load_deployment
from feed_migration.describing import describe
from feed_migration.errors import DeploymentError, EnvironmentUnavailable, RollbackUnverified
from feed_migration.events import Event, EventKind
from feed_migration.journal.spool import Spool
from feed_migration.journal.store import Journal
from feed_migration.markdown import cell, code, code_block
from feed_migration.orchestration.closing import close_promoted
from feed_migration.report.incident import incident_from
from feed_migration.report.pages import document_incident, migration_report, migration_summary
from tests.support.memory_fleet import Killed, MemoryFleet
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


def test_who_is_killed_between_page_and_event_is_made_good(
    deployment, journal, rolled_back, monkeypatch
):
    """The section stands, and the next one who documents it says so in the journal, once."""

    def killed(*_, **__):
        raise Killed

    with monkeypatch.context() as patch:
        for name in ("append", "append_chosen"):
            patch.setattr(Journal, name, killed)
        with pytest.raises(Killed):
            document_incident(deployment, journal, rolled_back, "guard:a")
    first = deployment.incidents_file.read_text()
    for _ in range(2):
        document_incident(deployment, journal, rolled_back, "ana")
    assert deployment.incidents_file.read_text() == first
    (event,) = journal.events(rolled_back, "incident_documented")
    assert event.body["marker"] in first


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


def test_a_step_that_began_and_was_taken_back_says_so(journal, rolled_back):
    """It moved instances: it must not look like the steps to which nothing came."""
    lines = migration_report(journal.events(rolled_back), {}, journal.verify()).splitlines()
    began, never = (
        next(line for line in lines if line.startswith(f"| {step} |"))
        for step in ("cutover-50", "cutover-100")
    )
    assert began.startswith("| cutover-50 | begun, not promoted | 20")
    assert never == "| cutover-100 | – | – |"


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
    assert "| begun to verified rollback | not verified |" in first

    fleet.dry.clear()
    rollback.verify(fleet, journal, migration_id, "ana", spool=spool)
    page = document_incident(deployment, journal, migration_id, "ana").read_text()
    again = document_incident(deployment, journal, migration_id, "ana").read_text()

    later = page.removeprefix(first)
    assert page.startswith(first)
    assert "rollback verified" in later
    assert "| feed-03 | native | ccxt |" in later
    assert "| begun to verified rollback | 0." in later
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
        ("sqlite.db", "sqlite:///{home}/sqlite.db"),
        ("sqlite:////srv/a@b:1/j.db", "sqlite:////srv/a@b:1/j.db"),
        ("50%20 j.db", "sqlite:///{home}/50%2520%20j.db"),
        ("sqlite:///j.db", "sqlite:///{home}/j.db"),
        ("sqlite:///50%20j.db", "sqlite:///{home}/50%20j.db"),
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


@pytest.mark.parametrize(
    "written",
    [
        "postgres//u:hunter2@h/x",
        "postgresql:/u:hunter2@h/x",
        "postgresql+psycopg//h/x?password=hunter2",
        "Postgres/hunter2",
        "u:hunter2@h/x",
        "h:5432/x?password=hunter2",
        "u:hunter2@h/x?redirect=https://h",
        "sqlite//hunter2.db",
    ],
)
def test_a_mistyped_journal_url_is_no_file(tmp_path, written):
    """Else each process has an empty journal of its own, with a password in its name."""
    document = {
        "prometheus_url": "http://127.0.0.1:9090",
        "journal_url": written,
        "instances": [{"id": "feed-00", "url": "http://127.0.0.1:1", "config": "feed-00.yaml"}],
    }
    (tmp_path / "deployment.yaml").write_text(yaml.safe_dump(document))
    with pytest.raises(DeploymentError, match="journal_url") as caught:
        load_deployment(tmp_path, {})
    assert "hunter2" not in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["deployment.yaml"]


def event(kind, **body):
    return Event(
        seq=1, at=0.0, migration_id="m1", kind=kind, actor="ana", body=body, prev_hash="", hash=""
    )


@pytest.mark.parametrize(
    ("kind", "body", "said"),
    [
        ("migration_started", {"plan": "demo", "steps": [{}, {}]}, "plan demo, 2 steps"),
        ("step_started", {"step": "cutover-10"}, "cutover-10: the step begins"),
        ("step_started", {"step": "cutover-10", "run": "2", "key": "k"}, "cutover-10: its gate begins to watch, run 2"),
        ("act_intended", {"step": "cutover-10", "act": "set_variant", "variant": "native", "instances": ["a"]}, "cutover-10: to do: 1 instance goes to native"),
        ("act_confirmed", {"step": "cutover-10", "act": "set_variant", "variant": "native", "instances": ["a"]}, "cutover-10: done: 1 instance on native"),
        ("act_confirmed", {"step": "shadow", "act": "stop_shadow"}, "shadow: done: the shadows are stopped"),
        ("verdict", {"step": "shadow", "run": "1", "decision": "Promote", "at_seconds": 62.0, "reasons": [{"text": "x"}]}, "shadow, run 1: Promote after 62 s, 1 criterion proven"),
        ("verdict", {"step": "shadow", "decision": "Rollback", "at_seconds": 9.0, "reasons": [{"text": "age 61"}]}, "shadow: Rollback after 9 s: age 61"),
        ("approval", {"step": "cutover-10", "decision": "Reject", "reason": "not now"}, "cutover-10: rejected: not now"),
        ("step_promoted", {"step": "dry_run"}, "dry run has passed"),
        ("held", {"step": "cutover-10", "reason": "held by bob"}, "cutover-10: held by bob"),
        ("rollback_started", {"reason": "stale", "instances": {"a": "native"}}, "1 instance to verify on ccxt: stale"),
        ("rollback_act", {"act": "set_variant", "state": "confirmed", "instances": ["a", "b"]}, "done: 2 instances on ccxt"),
        ("rollback_verified", {"instances": {"a": "ccxt"}, "breach_to_rollback_seconds": 4.8}, "ccxt data flows on 1 instance, 4.8 s after the breach"),
        ("rollback_verified", {"instances": {"a": "ccxt"}, "breach_to_rollback_seconds": 4.8, "breached": False}, "ccxt data flows on 1 instance, 4.8 s after it began"),
        ("migration_finished", {"outcome": "rolled_back"}, "outcome: rolled back"),
        ("audit_note", {"note": "approval_asked", "step": "cutover-10", "until": 0.0}, "cutover-10: approval asked; no answer by 1970-01-01 00:00:00 UTC is a No"),
        ("audit_note", {"step": "dry_run", "check": "tests", "exit_code": 0}, "dry run: integration tests passed"),
        ("audit_note", {"step": "dry_run", "check": "auth_check", "exit_code": 1}, "dry run: auth check failed with exit code 1"),
        ("audit_note", {"note": "joined", "dag_id": "d", "run_id": "r", "reason": "go"}, "DAG run d r drives the migration: go"),
        ("audit_note", {"note": "resumed", "step": "cutover-10"}, "cutover-10: resumed, its gate watches anew"),
        ("audit_note", {"note": "way_back", "dag_id": "backpack_rollback", "run_id": "r"}, "DAG run backpack_rollback r takes the fleet back"),
        ("audit_note", {"note": "human_act", "act": "post_clear_task_instances", "run_id": "r", "details": {"reason": "fine"}}, "asked of Airflow by hand: post_clear_task_instances r: fine"),
        ("audit_note", {"note": "human_act", "act": "patch_dag_run", "run_id": "r", "details": "cut"}, "asked of Airflow by hand: patch_dag_run r"),
        ("audit_note", {"note": "feedback", "consumer": "desk", "healthy": False, "remark": "late"}, "desk: NOT well: late"),
        ("audit_note", {"note": "refused", "text": "a run drives it"}, "refused: a run drives it"),
        ("audit_note", {"note": "shell", "command": "hold", "reason": "look"}, "at a shell: backpack-migrate hold: look"),
        ("audit_note", {"note": "of another version"}, "of another version"),
    ],
)  # fmt: skip
def test_each_line_of_the_log_says_what_happened(kind, body, said):
    """At a glance, without the body: the step or its gate, asked or answered, passed or failed."""
    assert describe(event(kind, **body)) == said


@pytest.mark.parametrize("kind", list(EventKind))
@pytest.mark.parametrize("odd", [None, "soon", ["x"], {"a": 1}, 7])
def test_an_odd_body_is_described_without_harm(kind, odd):
    """It may be of another version, or written by hand."""
    names = (
        "step",
        "act",
        "instances",
        "reasons",
        "healthy",
        "until",
        "at_seconds",
        "run",
        "steps",
    )
    for note in ("approval_asked", "feedback", "human_act", "shell", "signing key", odd):
        body = {**dict.fromkeys(names, odd), "note": note}
        assert isinstance(describe(event(kind, **body)), str)


@pytest.fixture
def promoted(deployment, journal):
    """A promoted migration with its report, and the fleet that it moved."""
    fleet, migration_id = MemoryFleet(), begin(journal)
    pass_steps(journal, fleet, migration_id, until=None)
    page = deployment.incidents_file.with_name(f"{migration_id}.md")
    close_promoted(
        journal,
        migration_id,
        "ana",
        instances=fleet.variant,
        page=page,
        root=deployment.home,
        parity=deployment.parity_folder,
    )
    return fleet, migration_id, page


def test_a_report_says_that_its_migration_was_taken_back(deployment, journal, promoted):
    """At its head, once, with reason and name; the rest stays as it was written."""
    fleet, migration_id, page = promoted
    before = page.read_text()
    assert before.splitlines()[0].endswith(": promoted")
    roll_back(deployment, journal, migration_id, fleet)
    for _ in range(2):
        document_incident(deployment, journal, migration_id, "ana")
    after = page.read_text()
    assert after.splitlines()[0].endswith(": rolled back")
    assert after.count("**Taken back** from ") == 1
    assert "verified on ccxt at" in after
    assert "by ana: gate said so. See [the incident](backpack_ccxt.md)." in after
    assert after.endswith(before.partition("\n\n")[2])


def test_without_a_report_there_is_nothing_to_correct(deployment, journal):
    """A migration that was never promoted has none, and gets none."""
    fleet, migration_id = MemoryFleet(), begin(journal)
    roll_back(deployment, journal, migration_id, fleet)
    page = document_incident(deployment, journal, migration_id, "ana")
    assert [path.name for path in page.parent.iterdir()] == [page.name]


def test_a_report_that_cannot_be_corrected_leaves_the_incident(deployment, journal, promoted):
    """The way back is over and written down, whatever else is wrong."""
    fleet, migration_id, page = promoted
    roll_back(deployment, journal, migration_id, fleet)
    page.write_bytes(b"\xff not utf-8")
    assert migration_id in document_incident(deployment, journal, migration_id, "ana").read_text()
