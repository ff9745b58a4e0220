"""Whole DAG runs in one process: real operators, triggers, gates and journal; scripted neighbours."""

import json

from feed_migration.phases import Status
from tests.airflow.conftest import Stage, run_of, run_state, steady, way_back_of


def bad_once_native(stage: Stage):
    """Errors on the native feed as soon as an instance of the fleet runs it."""

    def script(query: str):
        value = 5.0 if stage.natives and "errors" in query else 0.0
        return [(labels, value) for labels, _ in steady(query)]

    return script


def test_a_good_fleet_is_promoted_through_every_phase(stage: Stage):
    """The run is green, every instance is native, the journal says promoted and verifies."""
    run = run_of(stage.dag("backpack_migration"), reason="a test")
    assert str(run.state) == "success"
    # nothing that was not done is shown as done
    ended = {"revert": "skipped", "document": "skipped", "verdict": "success"}
    assert way_back_of(run) == ended
    assert stage.fleet.names == sorted(stage.natives)
    assert stage.fleet.shadow_pids == {}
    journal = stage.journal
    state = journal.state(journal.latest_migration())
    assert state.status == Status.PROMOTED
    assert "post_migration" in state.promoted
    assert "rollback_started" not in stage.kinds()
    assert journal.verify().ok
    shares = [ids for variant, ids in stage.fleet.history if variant == "native"]
    assert shares == [("feed-00", "feed-01"), tuple(stage.fleet.names)]


def test_a_breach_takes_the_fleet_back_and_fails_the_run(stage: Stage):
    """The gate's Rollback reverts, verifies and documents; the run never ends green."""
    stage.prometheus.script = bad_once_native(stage)
    run = run_of(stage.dag("backpack_migration"))
    assert str(run.state) == "failed"
    ended = {"revert": "success", "document": "success", "verdict": "failed"}
    assert way_back_of(run) == ended
    assert stage.natives == []
    kinds = stage.kinds()
    assert kinds.count("rollback_started") == 1
    assert kinds.index("rollback_started") < kinds.index("rollback_verified")
    assert kinds.index("rollback_verified") < kinds.index("incident_documented")
    journal = stage.journal
    state = journal.state(journal.latest_migration())
    assert state.status == Status.ROLLED_BACK
    assert "errors" in state.reason
    page = (stage.home / "docs" / "migrations" / "backpack_ccxt.md").read_text()
    assert "errors" in page
    assert journal.verify().ok


def test_no_data_holds_the_exposure_until_a_person_continues(stage: Stage):
    """Nothing proven is neither promoted nor taken back; the next run watches that step anew."""

    def silent_on_native(query: str):
        return [(labels, float("nan") if stage.natives else 0.0) for labels, _ in steady(query)]

    stage.prometheus.script = silent_on_native
    run = run_of(stage.dag("backpack_migration"))
    assert str(run.state) == "failed"
    assert way_back_of(run) == dict.fromkeys(("revert", "document", "verdict"), "failed")
    assert stage.natives == ["feed-00", "feed-01"]
    held = stage.journal.active_migration()
    assert stage.journal.state(held).status == Status.HELD
    stage.prometheus.script = steady
    assert stage.run("backpack_migration") == "success"
    assert stage.journal.latest_migration() == held
    assert "rollback_started" not in stage.kinds()
    runs = [
        event.body["run"]
        for event in stage.journal.events(held, "verdict")
        if event.body["step"] == "cutover-50"
    ]
    assert runs == ["1", "2"]


def test_a_journal_that_was_restored_repeats_no_epoch(stage: Stage):
    """The fleet has seen acts that the copy does not know; one of their actors may still sleep."""
    stage.fleet.set_variant([], "ccxt", epoch=7)
    assert stage.run("backpack_dry_run") == "success"
    journal = stage.journal
    assert journal.state(journal.latest_migration()).epoch == 8


def test_a_failed_check_of_the_dry_run_stops_before_anything_moves(stage: Stage):
    """A failing integration test ends the run; no instance was ever restarted onto native."""
    dag = stage.dag("backpack_migration")
    dag.get_task("dry_run.tests").argv = lambda _: ("-c", "raise SystemExit(3)")
    assert run_state(dag) == "failed"
    assert [variant for variant, _ in stage.fleet.history] == ["ccxt"]
    notes = [event.body for event in stage.journal.events(kind="audit_note")]
    assert 3 in {body.get("exit_code") for body in notes}


def test_a_phase_without_its_predecessor_is_refused(stage: Stage):
    """The cutover alone begins nothing, and moves nothing; that it was refused is kept."""
    assert stage.run("backpack_cutover") == "failed"
    assert stage.fleet.history == []
    assert stage.journal.latest_migration() is None
    notes = [event.body for event in stage.journal.events()]
    assert {note["note"] for note in notes} == {"refused"}
    assert (notes[0]["error"], notes[0]["task_id"]) == ("GateNotPassed", "begin")


def test_a_refused_preflight_leaves_one_short_note(stage: Stage):
    """Who was refused and why, each reason once with the instances that it is about."""
    stage.fleet.set_variant(stage.fleet.names, "native", epoch=1)
    assert stage.run("backpack_migration") == "failed"
    (event,) = stage.journal.events()
    assert (event.migration_id, event.body["note"]) == ("none", "refused")
    assert (event.body["error"], event.body["task_id"]) == ("PreflightFailed", "begin")
    assert event.body["text"] == (
        "fleet: feed-00, feed-01, feed-02, feed-03 on native already, run backpack_rollback: "
        "nothing was changed, start again when corrected"
    )


def test_a_shadow_of_before_lets_no_migration_begin(stage: Stage):
    """Its counters are of its whole life, and the next gate would read them."""
    stage.fleet.shadow_pids = {"shadow-00": 7}
    assert stage.run("backpack_migration") == "failed"
    (event,) = stage.journal.events()
    assert event.body["text"].startswith("fleet: shadow-00 as shadow already, run backpack_rollb")


def test_a_person_may_skip_earlier_phases_with_a_reason(stage: Stage):
    """The override is in the journal, with the reason."""
    state = stage.run("backpack_cutover", skip_earlier_phases=True, reason="shadowed by hand")
    assert state == "success"
    approvals = [event.body for event in stage.journal.events(kind="approval")]
    assert {"shadowed by hand"} == {body["reason"] for body in approvals}


def test_the_rollback_dag_takes_back_a_half_done_migration(stage: Stage):
    """Phase DAGs join one migration; what a person asked for has succeeded, so this is green."""
    for phase in ("dry_run", "shadow", "cutover"):
        assert stage.run(f"backpack_{phase}") == "success", phase
    assert stage.natives == stage.fleet.names
    assert stage.kinds().count("migration_started") == 1
    assert stage.run("backpack_rollback", reason="consumers complain", confirm=True) == "success"
    assert stage.natives == []
    assert stage.journal.active_migration() is None
    assert "consumers complain" in json.dumps(
        [event.body for event in stage.journal.events(kind="rollback_started")]
    )


def test_a_journal_that_is_away_for_a_moment_costs_a_good_run_nothing(stage: Stage, monkeypatch):
    """Airflow knows that every task succeeded, so the way back asks the journal again first."""
    from feed_migration.orchestration import runtime as runtimes

    real, asked = runtimes.journal_for_rollback, []

    def away_at_first(place):
        asked.append(place)
        return real(place) if len(asked) > 1 else None

    monkeypatch.setattr(runtimes, "journal_for_rollback", away_at_first)
    assert stage.run("backpack_dry_run") == "success"
    assert len(asked) == 2
    assert "rollback_started" not in stage.kinds()
