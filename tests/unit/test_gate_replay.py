import json

import pytest
import yaml
from typer.testing import CliRunner

from feed_migration.cli.gates import gate_app
from feed_migration.document.reader import PlanError
from feed_migration.gates.replay import replay
from feed_migration.gates.trace import answer_of, load_trace

LABELS = {"instance_id": "feed-00", "symbol": "SOL-USDC"}
CRITERION = {"name": "stale", "query": "q", "success": {"max": 30}, "failure": {"min": 45}}


def gate(*, criterion=None, **changes):
    return {
        "interval": "15s",
        "min_duration": "1m",
        "max_duration": "10m",
        "criteria": [{**CRITERION, **(criterion or {})}],
        **changes,
    }


def good(value=0.3, **more):
    return {"series": [[LABELS, value]], "age": 2.0, **more}


def ticks(answers, interval=15):
    return [
        {"at": index * interval, "answers": {"stale": one}} for index, one in enumerate(answers)
    ]


@pytest.fixture
def run(tmp_path):
    """Replay a trace through the command; returns the JSON lines."""

    def replayed(trace, name="trace.yaml"):
        path = tmp_path / name
        path.write_text(json.dumps(trace) if name.endswith("json") else yaml.safe_dump(trace))
        result = CliRunner().invoke(gate_app, ["replay", str(path), "--json"])
        assert result.exit_code == 0, result.output
        return [json.loads(line) for line in result.output.splitlines()]

    return replayed


@pytest.mark.parametrize("name", ["trace.yaml", "trace.json"])
def test_fresh_series_for_min_duration_promote(run, name):
    """Example 1: all fresh and at 0.3 for min_duration, coverage full."""
    trace = {"gate": gate(criterion={"max_age": "45s"}), "ticks": ticks([good()] * 5)}
    lines = run(trace, name)
    assert [line["verdict"] for line in lines] == ["Running"] * 4 + ["Promote"] * 2
    assert lines[0] == {
        "at": 0,
        "verdict": "Running",
        "measurements": {"stale": "Success"},
        "reasons": [],
    }


def test_burst_that_its_confirm_sample_refutes_is_no_trend(run):
    """Example 2: soft, one tick at 60 s of age, back at 0.3, in two hours of good ticks."""
    soft = {"severity": "soft", "consecutive_failure_limit": 0}
    recorded = ticks([good()] * 481)
    recorded[200]["answers"]["stale"] = good(60)
    again = {"at": 3000, "confirm": True, "answers": {"stale": good()}}
    recorded.insert(201, again)
    lines = run(
        {"gate": gate(criterion=soft, min_duration="2h", max_duration="3h"), "ticks": recorded}
    )
    assert lines[200]["measurements"] == {"stale": "Failure"}
    assert lines[200]["verdict"] == lines[201]["verdict"] == "Running"
    assert lines[-1]["verdict"] == "Promote"


def test_same_burst_without_confirm_sample_stands(run):
    """Where no confirm sample follows, the Failure counts as confirmed."""
    soft = {"severity": "soft", "consecutive_failure_limit": 0}
    lines = run({"gate": gate(criterion=soft), "ticks": ticks([good(), good(60)])})
    assert [line["verdict"] for line in lines] == ["Running", "Rollback", "Rollback"]


def test_nan_on_both_sides_holds_at_max_duration(run):
    """Example 3: 0/0 on native and ccxt alike for the whole step."""
    nothing = {"series": [[LABELS, "NaN"]], "baseline": [[LABELS, "NaN"]], "age": 1.0}
    lines = run({"gate": gate(), "ticks": ticks([nothing] * 41)})
    assert {line["verdict"] for line in lines[:40]} == {"Running"}
    assert lines[-1]["verdict"] == "Hold"
    assert lines[-1]["reasons"][-1]["value"] == "NaN"


def test_short_blindness_with_coverage_kept_promotes(run):
    """Example 4: Prometheus refuses for 90 s, then answers well."""
    refused = {"error": "connect: refused"}
    trace = ticks([good()] * 20 + [refused] * 6 + [good()] * 120)
    lines = run({"gate": gate(min_duration="30m", max_duration="1h"), "ticks": trace})
    assert lines[20]["measurements"] == {"stale": "Error"}
    assert lines[-1]["verdict"] == "Promote"


@pytest.mark.parametrize("end", [0, 3])
def test_step_cancelled_before_the_first_sample_holds(run, end):
    """Example 5: never success without evidence."""
    lines = run({"gate": gate(), "ticks": [], "end": end})
    assert [(line["at"], line["verdict"]) for line in lines] == [(end, "Hold")]


def test_ten_forged_empty_ticks_beside_ccxt_roll_back(run):
    """Example 6: the native series is gone."""
    gone = {"series": [], "baseline": [[LABELS, 0.5]]}
    lines = run({"gate": gate(), "ticks": ticks([gone] * 10)})
    assert lines[-1]["verdict"] == "Rollback"
    assert lines[0]["measurements"] == {"stale": "NoData"}


def test_backfilled_ticks_count_like_any_other(run):
    """What was judged late, in order, is coverage; a Rollback found there is a Rollback."""
    recorded = ticks([good()] * 5)
    recorded[2]["backfilled"] = recorded[3]["backfilled"] = True
    assert run({"gate": gate(), "ticks": recorded})[-1]["verdict"] == "Promote"
    recorded[2]["answers"]["stale"] = good(60)
    assert run({"gate": gate(), "ticks": recorded})[-1]["verdict"] == "Rollback"


def test_late_tick_behind_a_newer_one_is_judged_at_its_own_time(run):
    """A backfilled Failure rolls back although newer ticks were good."""
    recorded = ticks([good()] * 3)
    recorded.append({"at": 10, "backfilled": True, "answers": {"stale": good(60)}})
    lines = run({"gate": gate(), "ticks": recorded})
    assert [line["verdict"] for line in lines[2:]] == ["Running", "Rollback", "Rollback"]


def test_end_leaves_later_ticks_unjudged(run):
    """After the end there is nothing to judge."""
    lines = run({"gate": gate(), "ticks": ticks([good()] * 5), "end": 40})
    assert [line["at"] for line in lines] == [0, 15, 30, 40]
    assert lines[-1]["verdict"] == "Hold"


def test_trace_that_just_stops_leaves_the_gate_running(run):
    """Without an end nobody ended the step."""
    assert run({"gate": gate(), "ticks": ticks([good()] * 3)})[-1]["verdict"] == "Running"


def test_fleet_size_says_what_fleet_means(run, tmp_path):
    """expect_series fleet needs fleet_size, and counts instances."""
    trace = {"gate": gate(criterion={"expect_series": "fleet"}), "ticks": ticks([good()] * 5)}
    assert run({**trace, "fleet_size": 1})[-1]["verdict"] == "Promote"
    assert run({**trace, "fleet_size": 2})[-1]["measurements"] == {}
    assert run({**trace, "fleet_size": 2})[0]["measurements"] == {"stale": "NoData"}
    path = tmp_path / "trace.yaml"
    path.write_text(yaml.safe_dump(trace))
    with pytest.raises(PlanError, match="fleet_size is missing"):
        load_trace(path)


@pytest.mark.parametrize("text", ["0.25", "-0", "1e-07", "1.5E+10", "+Inf", "-Inf", "NaN", "7."])
def test_numbers_of_prometheus_are_read(text):
    """Everything that Go's formatting can write."""
    assert answer_of({"series": [[LABELS, text]]}).error is None


@pytest.mark.parametrize("warnings", [[""], [0], "partial", ["partial"]])
def test_any_warning_is_one(run, warnings):
    """Also one without a text: its data is not to be trusted."""
    lines = run({"gate": gate(), "ticks": ticks([good(warnings=warnings)])})
    assert lines[0]["measurements"] == {"stale": "Error"}


@pytest.mark.parametrize(
    "data",
    [
        None,
        [],
        "x",
        {},
        {"series": None},
        {"series": "NaN"},
        {"series": [[LABELS]]},
        {"series": [[LABELS, None]]},
        {"series": [[LABELS, True]]},
        {"series": [["x", 1]]},
        {"series": [[LABELS, "many"]]},
        {"series": [], "baseline": 3},
        {"status": "success", "data": {"result": []}},
        {"series": [], "age": []},
        {"series": [[LABELS, 10**400]]},
        {"series": [[LABELS, "1_0"]]},
        {"series": [[LABELS, " 3 "]]},
        {"series": [[LABELS, "\u0663"]]},
        {"series": [[LABELS, "infinity"]]},
        {"series": [], "exposure": -(10**400)},
    ],
)
def test_unreadable_answer_is_an_error_at_its_tick(data):
    """Whatever a broken Prometheus says, the trace stays readable."""
    assert answer_of(data).error


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"tics": []}, "tics: unknown key (did you mean 'ticks'?)"),
        ({"ticks": [{"at": "soon", "answers": {}}]}, "ticks[0].at: should be a valid number"),
        ({"ticks": [{"at": 1e308, "answers": {}}]}, "ticks[0].at: should be less than or equal to"),
        ({"end": 1e308}, "end: should be less than or equal to"),
        ({"ticks": [{"at": 0, "answers": {"stael": {}}}]}, "did you mean 'stale'?"),
        ({"gate": gate(intervall="5s")}, "gate.intervall: unknown key (did you mean 'interval'?)"),
        ({"gate": None}, "gate: a gate is a mapping"),
    ],
)
def test_wrong_shape_is_refused_with_its_place(tmp_path, change, message):
    """The command exits 2 and says where."""
    path = tmp_path / "trace.yaml"
    path.write_text(yaml.safe_dump({"gate": gate(), "ticks": [], **change}))
    result = CliRunner().invoke(gate_app, ["replay", str(path)])
    assert result.exit_code == 2
    assert f"{path}:" in result.output
    assert message in result.output


def test_people_get_one_line_per_tick(tmp_path):
    """Without --json: time, verdict, outcomes, reasons."""
    path = tmp_path / "trace.yaml"
    path.write_text(yaml.safe_dump({"gate": gate(), "ticks": ticks([good(), good(60)])}))
    output = CliRunner().invoke(gate_app, ["replay", str(path)]).output.splitlines()
    assert output[0].split() == ["0", "s", "Running", "stale=Success"]
    assert "Rollback  stale=Failure  stale 60 on instance_id=feed-00" in output[1]


def test_replay_is_lazy_and_total(tmp_path):
    """One line per entry of the trace and one for the end, second samples included."""
    path = tmp_path / "trace.yaml"
    recorded = ticks([good(60)])
    recorded.append({"at": 0, "confirm": True, "answers": {"stale": good()}})
    path.write_text(yaml.safe_dump({"gate": gate(), "ticks": recorded, "end": 5}))
    assert [line.decision.value for line in replay(load_trace(path))] == [
        "Running",
        "Running",
        "Hold",
    ]
