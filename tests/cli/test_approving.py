"""An approval at a shell: who is asked about what, and what Airflow says to an answer."""

import pytest

from tests.cli.shell import RUN, invoke


def test_start_and_approve_leave_a_name_in_the_audit_log(capsys, journal, airflow):
    """Airflow knows only the user that the deployment names."""
    airflow.wait_for("cutover_100.approval", "ann")
    assert invoke(capsys, "start", "--reason", "release 7")[0] == 0
    assert invoke(capsys, "approve", "--reason", "read it")[0] == 0
    notes = [note for note in journal.events(kind="audit_note") if note.actor == "cli:bo"]
    assert [(note.body["command"], note.body["reason"]) for note in notes] == [
        ("start", "release 7"),
        ("approve", "read it"),
    ]


@pytest.mark.usefixtures("journal")
@pytest.mark.parametrize(("asked_seconds_ago", "waits"), [(1.0, 2.0), (60.0, 0.0), (-60.0, 3.0)])
def test_a_question_that_was_just_asked_is_answered_once_its_task_is_parked(
    capsys, airflow, monkeypatch, asked_seconds_ago, waits
):
    """Airflow loses an answer that comes sooner; a clock that is behind makes nobody wait long."""
    pauses = []
    monkeypatch.setattr("feed_migration.cli.acts.time.sleep", pauses.append)
    airflow.wait_for("cutover_100.approval", "ann", asked_seconds_ago=asked_seconds_ago)
    assert invoke(capsys, "approve")[0] == 0
    # the less, the longer this process stood still meanwhile
    assert max(0.0, waits - 1.9) <= sum(pauses) <= waits + 0.1


def asked_and_over(airflow):
    """Questions that ended without an answer; Airflow keeps them as unanswered for good."""
    for state in ("failed", "success", None):
        airflow.wait_for("cutover_10.approval")
        airflow.approvals[-1]["task_instance"]["state"] = state


@pytest.mark.usefixtures("journal")
def test_a_question_that_ran_out_is_none(capsys, airflow):
    """Its run has ended: to answer it would do nothing, and hide the one that waits."""
    asked_and_over(airflow)
    code, _, err = invoke(capsys, "approve")
    assert (code, "0 approvals wait" in err) == (1, True)
    airflow.wait_for("cutover_100.approval")
    code, out, _ = invoke(capsys, "approve")
    assert (code, out.splitlines()[0]) == (0, "Approve: Start cutover_100.approval?")


@pytest.mark.usefixtures("journal")
def test_only_the_migration_under_way_is_approved(capsys, airflow):
    """A run of the one before may not have ended yet."""
    airflow.wait_for("cutover_100.approval", run_id="manual__last_night")
    assert invoke(capsys, "approve")[0] == 1
    airflow.wait_for("cutover_100.approval")
    assert invoke(capsys, "approve")[0] == 0
    assert f"/dagRuns/{RUN}/" in airflow.requests[-1][1]


def test_once_it_is_taken_back_nothing_waits_for_an_approval(capsys, journal, airflow):
    """In the seconds until Airflow has ended the question, too."""
    airflow.wait_for("cutover_100.approval")
    body = {"instances": {}, "breach_at": 1.0, "breach_to_rollback_seconds": 1.0}
    who = {"migration_id": journal.latest_migration(), "actor": "ana"}
    for kind, said in (
        ("rollback_started", {"reason": "odd", "epoch": 2}),
        ("rollback_verified", body),
    ):
        journal.append(kind, body=said, **who)
        code, _, err = invoke(capsys, "approve")
        assert (code, "0 approvals wait" in err) == (1, True), kind


@pytest.mark.usefixtures("journal")
def test_a_question_to_consumers_is_no_approval(capsys, airflow):
    """It has other answers, and nothing begins with them."""
    airflow.wait_for("post_migration.feedback_risk", options=("OK",))
    code, _, err = invoke(capsys, "approve")
    assert code == 1
    assert "0 approvals wait, and feedback is asked for (post_migration.feedback_risk)" in err
    assert "Required Actions in Airflow" in err
    airflow.wait_for("cutover_100.approval")
    assert invoke(capsys, "approve")[0] == 0


@pytest.mark.usefixtures("journal")
@pytest.mark.parametrize(
    ("command", "refusal", "ending"),
    [
        ("approve", (403, "User=bo is not a respondent"), (1, "ask one who may")),
        ("start", (403, "Forbidden"), (1, "ask one who may")),
        ("approve", (409, "has already been updated"), (1, "it was answered already")),
        ("start", (409, "a run of that id exists"), (1, "look at the DAG run in its UI")),
        ("approve", (404, "was not found"), (1, "what was deleted")),
        ("approve", (400, "Invalid options ['Approve']"), (2, "correct what it names")),
        ("start", (400, "Invalid input for param reason"), (2, "correct what it names")),
        ("start", (422, "extra fields"), (2, "correct what it names")),
        ("approve", (500, "Internal Server Error"), (3, "check AIRFLOW_URL")),
    ],
)
def test_a_clear_no_of_airflow_is_no_missing_part(capsys, airflow, command, refusal, ending):
    """Whoever scripts it must not wait for an Airflow that has answered."""
    airflow.wait_for("cutover_50.approval")
    airflow.refuses["POST" if command == "start" else "PATCH"] = refusal
    code, _, err = invoke(capsys, command)
    assert (code, refusal[1] in err, ending[1] in err) == (ending[0], True, True), err


def test_of_a_long_no_the_line_has_what_is_wrong(capsys, airflow):
    """A validator repeats what was said, and shows its schema behind."""
    no = f"Invalid input for param reason: {'x' * 3000!r} is too long\n\nFailed validating 'maxLength'"
    airflow.refuses["POST"] = (400, no)
    code, _, err = invoke(capsys, "start", "--reason", "x" * 3000)
    assert (code, len(err.splitlines())) == (2, 1)
    assert "/dagRuns: Invalid input for param reason: 'xxx" in err
    assert "xxx' is too long: correct what it names" in err
    assert len(err) < 500


@pytest.mark.parametrize(("flags", "option"), [((), "Approve"), (("--reject",), "Reject")])
def test_approve_answers_the_one_that_waits(capsys, airflow, flags, option):
    """The run id has a plus sign, which must survive the URL."""
    airflow.wait_for("cutover-50.approve")
    code, out, _ = invoke(capsys, "approve", *flags)
    assert code == 0
    assert out.splitlines()[0] == f"{option}: Start cutover-50.approve?"
    method, path, body = airflow.requests[-1]
    assert (method, body["chosen_options"]) == ("PATCH", [option])
    assert "/dagRuns/manual__2026-10-02T10:15:30+00:00/taskInstances/cutover-50.approve/-1/" in path


def test_a_reason_at_the_shell_reaches_the_question(capsys, airflow, monkeypatch):
    """With who sits there; a question of an older release has no field for it."""
    monkeypatch.setattr("getpass.getuser", lambda: "bo")
    airflow.wait_for("cutover-50.approve")
    invoke(capsys, "approve", "--reason", "odd book", "--reject")
    given = airflow.requests[-1][2]["params_input"]
    assert given == {"reason": "odd book (at a shell, cli:bo)"}
    invoke(capsys, "approve")
    assert airflow.requests[-1][2]["params_input"] == {"reason": "at a shell, cli:bo"}
    del airflow.approvals[0]["params"]
    invoke(capsys, "approve", "--reason", "odd book")
    assert airflow.requests[-1][2]["params_input"] == {}


def test_approve_does_not_guess(capsys, airflow):
    """None waits, or several do: exit 1 and what to do."""
    code, _, err = invoke(capsys, "approve")
    assert (code, err) == (
        1,
        "backpack-migrate: 0 approvals wait: see `backpack-migrate status`\n",
    )
    airflow.wait_for("cutover-50.approve")
    airflow.wait_for("stabilisation.approve")
    code, _, err = invoke(capsys, "approve")
    assert code == 1
    assert "2 approvals wait (cutover-50.approve, stabilisation.approve): choose one" in err
    assert invoke(capsys, "approve", "--task", "stabilisation.approve")[0] == 0
