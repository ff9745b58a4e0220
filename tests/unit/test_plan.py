import json
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from feed_migration.cli.gates import plan_app
from feed_migration.document.reader import PLAN_BYTES, PlanError
from feed_migration.errors import UsageError
from feed_migration.model import Band, Decision, Severity
from feed_migration.plan.reader import load_plan
from feed_migration.plan.types import seconds_of

PLANS = Path(__file__).parents[2] / "plans"

TOO_LONG = "a range, step or offset is longer than Prometheus's 292 years"
PLAN = """\
name: small
defaults: {interval: 5s, min_duration: 1m}
criteria:
- name: stale
  query: max(age)
  success: {max: 30}
  failure: {min: 45}
phases:
  preflight: {}
  dry_run: {}
  shadow:
    gate: {criteria: [stale]}
  cutover:
    steps:
    - percent: 50
      approval: true
      gate: {criteria: [stale], thresholds: {stale: {success: {max: 10}, failure: {min: 15}}}}
    - percent: 100
      gate:
        interval: 1s
        criteria: [stale]
  stabilisation:
    gate: {criteria: [stale], max_duration: 24h}
  post_migration: {}
"""


@pytest.fixture
def load(tmp_path):
    def loaded(text):
        path = tmp_path / "plan.yaml"
        path.write_text(text)
        return load_plan(path)

    return loaded


@pytest.fixture
def problems(load):
    """The problems of PLAN after a replacement, as `line: place: text`."""

    def found(old, new):
        assert old in PLAN
        with pytest.raises(PlanError) as caught:
            load(PLAN.replace(old, new))
        return [str(problem) for problem in caught.value.problems]

    return found


def test_steps_follow_the_runbook(load):
    """One step per phase, one per ramp step, in order, with gates where they belong."""
    plan = load(PLAN)
    assert [
        (step.name, step.percent, step.approval, step.gate is not None) for step in plan.steps
    ] == [
        ("preflight", None, False, False),
        ("dry_run", None, False, False),
        ("shadow", None, False, True),
        ("cutover-50", 50, True, True),
        ("cutover-100", 100, False, True),
        ("stabilisation", None, False, True),
        ("post_migration", None, False, False),
    ]


def test_defaults_thresholds_and_own_keys_make_the_gate(load):
    """A gate takes the defaults, its own keys win, thresholds change the library's criterion."""
    plan = load(PLAN)
    half, whole = plan.step("cutover-50").gate, plan.step("cutover-100").gate
    assert (half.interval_seconds, whole.interval_seconds) == (5, 1)
    assert half.criteria[0].success == Band(maximum=10)
    assert half.criteria[0].failure == Band(minimum=15)
    assert whole.criteria[0].failure == Band(minimum=45)
    assert plan.step("stabilisation").gate.max_duration_seconds == 86_400


def test_blind_shadow_holds_and_blind_cutover_rolls_back(load):
    """on_blind is hold only where nothing is exposed, unless the gate says otherwise."""
    plan = load(PLAN)
    assert plan.step("shadow").gate.on_blind is Decision.HOLD
    assert plan.step("cutover-50").gate.on_blind is Decision.ROLLBACK
    changed = load(
        PLAN.replace("gate: {criteria: [stale]}", "gate: {criteria: [stale], on_blind: rollback}")
    )
    assert changed.step("shadow").gate.on_blind is Decision.ROLLBACK


def test_fingerprint_is_of_the_meaning(load):
    """Comments, order of keys and units do not change it; a threshold does."""
    base = load(PLAN).sha256
    assert load("# a comment\n" + PLAN).sha256 == base
    assert load(PLAN.replace("min_duration: 1m", "min_duration: 60s")).sha256 == base
    assert load(PLAN.replace("failure: {min: 45}", "failure: {min: 46}")).sha256 != base
    assert load(PLAN.replace("approval: true", "approval: false")).sha256 != base


def test_unknown_step_names_those_there_are(load):
    """The error lists the steps."""
    with pytest.raises(UsageError, match=r"no step 'cutover-10': it has preflight, dry_run"):
        load(PLAN).step("cutover-10")


@pytest.mark.parametrize("name", ["demo", "production"])
def test_shipped_plans_are_valid(name):
    """Both plans load; every deciding criterion of an exposed step has a control group."""
    plan = load_plan(PLANS / f"{name}.yaml")
    assert [step.percent for step in plan.steps if step.percent] == [10, 50, 100]
    for step in plan.steps:
        for criterion in step.gate.criteria if step.gate else ():
            assert criterion.baseline_query or not criterion.decides
    assert all(step.approval is (name == "production") for step in plan.steps if step.percent)


def test_production_keeps_the_runbooks_numbers():
    """30 min of shadow, symbol_snapshot_age below 30 s, 24 h at 99 % health."""
    plan = load_plan(PLANS / "production.yaml")
    assert plan.step("shadow").gate.min_duration_seconds == 1800
    assert plan.step("stabilisation").gate.min_duration_seconds == 86_400
    ages = [c for c in plan.step("cutover-10").gate.criteria if c.name == "symbol_snapshot_age"]
    assert (ages[0].success, ages[0].severity) == (Band(maximum=30), Severity.HARD)
    health = [c for c in plan.step("stabilisation").gate.criteria if c.objective]
    assert health[0].objective.target == 0.99


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("interval: 1s", "intervall: 1s", "20: phases.cutover.steps[1].gate.intervall: unknown key (did you mean 'interval'?)"),
        ("interval: 5s", "intervall: 5s", "2: defaults.intervall: unknown key (did you mean 'interval'?)"),
        ("interval: 1s", "interval: 1", "20: phases.cutover.steps[1].gate.interval: was 1, a duration is written 15s, 30m or 24h"),
        ("interval: 1s", "interval: 0s", "20: phases.cutover.steps[1].gate.interval: must be longer than 0s"),
        ("interval: 1s", "interval: 0.001s", "20: phases.cutover.steps[1].gate.interval: must be at least 0.1s"),
        ("interval: 1s", f"interval: {'9' * 400}s", "20: phases.cutover.steps[1].gate.interval: longer than a year"),
        ("interval: 1s", "interval: 1h\n        max_duration: 30m", "20: phases.cutover.steps[1].gate.interval: longer than max_duration: no tick falls before the end"),
        ("interval: 1s", "interval: 1s\n        evaluation_delay: 61s", "21: phases.cutover.steps[1].gate.evaluation_delay: longer than min_duration: it could promote on what was before the step"),
        ("query: max(age)", "query: max(age)\n  confirm_interval: 7h", "22: phases.cutover.steps[1].gate.criteria: stale: confirm_interval is longer than max_duration"),
        ("query: max(age)", "query: max(age)\n  objective: {target: 0.9, over: 4s}", "13: phases.shadow.gate.criteria: stale: objective.over is shorter than interval"),
        ("query: max(age)", "query: max(age)\n  baseline_query: max(age)\n  comparison: {method: rank, max_increase: 1.2, min_samples: 50}", "4: criteria[0]: query and baseline_query are the same: it would be its own control"),
        ("query: max(age)", "query: max(age)\n  baseline_query: min(age)\n  comparison: {method: paired_ratio, max_increase: 10, min_samples: 50}", "7: criteria[0].comparison: max_increase of a paired_ratio must be below 10, where ratios are cut, or it never fails; lower it, or compare by rank"),
        ("query: max(age)", "query: max(age)\n  baseline_query: min(age)\n  comparison: {method: rank, max_increase: 2, min_samples: 4322}", "14: phases.shadow.gate.criteria: stale: comparison.min_samples is 4322, and max_duration has 4321 ticks: it can never promote; lower it, or raise max_duration"),
        ("query: max(age)", "query: max(age)\n  failure_window: {limit: 13, window: 1m}", "13: phases.shadow.gate.criteria: stale: failure_window.limit is 13, and its window has 13 ticks: it can never be exceeded; lower it, or widen the window"),
        ("query: max(age)", "query: max(age)\n  expect_series: 5", "4: criteria[0]: expect_series: 5, and the query gives one series at most; aggregate it `by` a label, or leave expect_series out"),
        ("query: max(age)", "query: max by (symbol) (age)\n  expect_series: fleet", "4: criteria[0]: expect_series: fleet, and nothing in the answer tells instances apart; aggregate the query `by (instance_id)`, or leave expect_series out"),
        ("  query: max(age)\n", "", "4: criteria[0].query: required key is missing"),
        ("  query: max(age)", "  query: max(age)\n  query: min(age)", "6: criteria[0].query: doubled key"),
        ("  query: max(age)", "  query: max(age)\n  confirm_interval: 0s", "6: criteria[0].confirm_interval: must be longer than 0s"),
        ("  query: max(age)", "  query: max(age)\n  severity: hrad", "6: criteria[0].severity: should be 'hard', 'soft' or 'info', was 'hrad'"),
        ("  query: max(age)", "  query: max(age)\n  expect_series: flet", "6: criteria[0].expect_series: was 'flet', it is a number of series from 1, or fleet"),
        ("  query: max(age)", "  query: max(age)\n  comparison: {method: paired_ratio, max_increase: 1.2, min_samples: 50}", "4: criteria[0]: a comparison needs a baseline_query"),
        ("  failure: {min: 45}\n", "", "4: criteria[0]: one-sided: failure is missing, so NaN or empty would go unjudged"),
        ("  success: {max: 30}\n", "", "4: criteria[0]: one-sided: success is missing, so NaN or empty would go unjudged"),
        ("success: {max: 30}\n  failure: {min: 45}", "success: {min: 0, max: 30}\n  failure: {min: -5, max: -3}", "4: criteria[0]: failure covers no side of success: values beyond it would go unjudged"),
        ("failure: {min: 45}", "failure: {min: 20}", "4: criteria[0]: success and failure overlap"),
        ("failure: {min: 45}", "failure: {}", "7: criteria[0].failure: needs min, max or both"),
        ("failure: {min: 45}", "failure: {min: .inf}", "7: criteria[0].failure.min: should be a finite number, was 'inf'"),
        ("percent: 100", "percent: 90", "18: phases.cutover.steps[1].percent: the last step must be 100 percent, was 90"),
        ("percent: 50", "percent: 100", "18: phases.cutover.steps[1].percent: 100 after 100: percent must ascend"),
        ("percent: 50", "percent: '50'", "15: phases.cutover.steps[0].percent: should be a valid integer, was '50'"),
        ("        criteria: [stale]", "        criteria: [stael]", "21: phases.cutover.steps[1].gate.criteria[0]: no criterion is named 'stael' (did you mean 'stale'?)"),
        ("        criteria: [stale]", "        criteria: [stale, stale]", "21: phases.cutover.steps[1].gate.criteria[1]: criterion 'stale' is there twice"),
        ("        criteria: [stale]", "        criteria: []", "21: phases.cutover.steps[1].gate.criteria: must not be empty"),
        ("thresholds: {stale:", "thresholds: {stael:", "17: phases.cutover.steps[0].gate.thresholds.stael: the gate has no criterion 'stael' (did you mean 'stale'?)"),
        ("success: {max: 10}, failure: {min: 15}", "success: {max: 99}", "17: phases.cutover.steps[0].gate.thresholds.stale: success and failure overlap"),
        ("max_duration: 24h", "max_duration: 30s", "23: phases.stabilisation.gate: max_duration is shorter than min_duration: it can never promote"),
        ("max_duration: 24h", "max_duration: 24h, lease: 9s", "23: phases.stabilisation.gate: lease is shorter than two intervals: a gate at work could lose it"),
        ("  preflight: {}\n  dry_run: {}\n", "  dry_run: {}\n  preflight: {}\n", "10: phases.preflight: comes after dry_run; the order is preflight, dry_run, shadow, cutover, stabilisation, post_migration"),
        ("  post_migration: {}\n", "", "8: phases.post_migration: required key is missing"),
        ("name: small", "name: !!python/object/apply:os.getcwd []", "1: name: 'python/object/apply:os.getcwd' values are not allowed"),
        ("approval: true", "approval: yes please", "16: phases.cutover.steps[0].approval: should be a valid boolean, was 'yes please'"),
        ("approval: true", "on: true", "16: phases.cutover.steps[0].on: a key must be text; quote it"),
    ],
)  # fmt: skip
def test_mistake_is_reported_with_line_and_key(problems, old, new, expected):
    """Every message names the line, the key and what to write instead."""
    assert expected in problems(old, new)


@pytest.mark.parametrize(
    "more",
    [
        "baseline_query: min(age)\n  comparison: {method: paired_ratio, max_increase: 9.9, min_samples: 4321}",
        "baseline_query: min(age)\n  comparison: {method: rank, max_increase: 20, min_samples: 50}",
        "severity: info\n  baseline_query: min(age)\n  comparison: {method: rank, max_increase: 2, min_samples: 9999}",
        "failure_window: {limit: 12, window: 1m}",
        "severity: info\n  failure_window: {limit: 13, window: 1m}",
        "expect_series: 1",
    ],
)
def test_what_can_just_be_reached_is_no_mistake(load, more):
    """The last tick counts, and what only records may be short of them."""
    decides = "- {name: up, query: up, success: {min: 1}, failure: {max: 0}}\n- name: stale"
    text = PLAN.replace("- name: stale", decides).replace("[stale]", "[up, stale]")
    assert load(text.replace("query: max(age)", f"query: max(age)\n  {more}"))


@pytest.mark.parametrize(
    ("query", "problem"),
    [
        ("max(age", "unclosed left parenthesis"),
        ("age[5m]", "gives a range of samples; put rate(…), max_over_time(…) or so around it"),
        ("age[5m:10s]", "gives a range of samples; put rate(…), max_over_time(…) or so around it"),
        ("'\"text\"'", "gives a text, not a value per series"),
        ("rate(age)", "expected type matrix in call to function 'rate', got vector"),
        ("'age{symbol=~\"(\"}'", "illegal regex for ("),
        ("'age{symbol=\"\\q\"}'", "unknown escape sequence 'q'"),
        ('\'age{a="1" or a="2"}\'', "Prometheus has no `or` between label matchers"),
        ("rate(age[9999999y])", TOO_LONG),
        ("rate(age[293y])", TOO_LONG),
        ("max_over_time(age[5m:9999999y])", TOO_LONG),
        ("age offset 293y", TOO_LONG),
        ("age offset -293y", TOO_LONG),
        ("age offset 9999999y", TOO_LONG),
        ("summ(age)", "unknown function with name 'summ'"),
    ],
)
@pytest.mark.parametrize("key", ["query", "baseline_query", "freshness_query"])
def test_broken_query_is_refused_with_line_and_key(problems, query, problem, key):
    """A query that Prometheus would refuse at every tick never gets as far as a gate."""
    if key == "query":
        found, line = problems("max(age)", query), 5
    else:
        found, line = problems("max(age)", f"max(age)\n  max_age: 5s\n  {key}: {query}"), 7
    assert found == [f"{line}: criteria[0].{key}: no query: {problem}"]


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (
            "{interval: 5s",
            "{intervall: 5s",
            "2: defaults.intervall: unknown key (did you mean 'interval'?)",
        ),
        (
            "{interval: 5s, min_duration: 1m}",
            "[5s]",
            "2: defaults: should be a valid dictionary, was \"['5s']\"",
        ),
        (
            "min_duration: 1m}",
            "min_duration: 1m, max_duration: 10s}",
            "2: defaults.max_duration: max_duration is shorter than min_duration: it can never promote",
        ),
        (
            "min_duration: 1m}",
            "min_duration: 1m, evaluation_delay: 2h}",
            "2: defaults.evaluation_delay: longer than min_duration: it could promote on what was before the step",
        ),
        (
            "{interval: 5s",
            "{interval: 5",
            "2: defaults.interval: was 5, a duration is written 15s, 30m or 24h",
        ),
    ],
)
def test_one_wrong_default_is_one_problem(problems, old, new, expected):
    """No gate complains again of what the defaults did wrong."""
    assert problems(old, new) == [expected]


@pytest.mark.parametrize("indent", [None, 1, 4])
@pytest.mark.parametrize(
    ("old", "new", "text"),
    [
        ('"max(age)"', '"max("', "criteria[0].query: no query: "),
        ('"percent": 50', '"percent": "50"', "phases.cutover.steps[0].percent: "),
        ('"approval": true', '"approvall": true', "phases.cutover.steps[0].approvall: unknown"),
        ('"small"', '"sm\\u00e4ll, \\"{[:"', "name: "),
        ('"percent": 50', '"percent": 50, "percent": 40', "steps[0].percent: doubled key"),
    ],
)
def test_json_plan_names_the_line_of_the_key(tmp_path, indent, old, new, text):
    """The same plan as JSON, laid out in any way."""
    written = json.dumps(yaml.safe_load(PLAN), indent=indent)
    assert old in written
    path = tmp_path / "plan.json"
    path.write_text(written.replace(old, new, 1))
    line = written[: written.index(old)].count("\n") + 1
    with pytest.raises(PlanError) as caught:
        load_plan(path)
    (problem,) = caught.value.problems
    assert problem.line == line
    assert text in str(problem)


def test_json_means_what_yaml_means(load, tmp_path):
    """The fingerprint is of the meaning."""
    path = tmp_path / "plan.json"
    path.write_text(json.dumps(yaml.safe_load(PLAN)))
    assert load_plan(path).sha256 == load(PLAN).sha256


def test_lone_info_criteria_are_refused(problems):
    """A gate in which nothing decides could only promote by accident."""
    found = problems("  query: max(age)", "  query: max(age)\n  severity: info")
    assert sum("only info criteria: none can decide" in problem for problem in found) == 4


def test_all_mistakes_are_reported_in_the_order_of_lines(load):
    """One run of the check shows the whole work, once each."""
    text = (
        PLAN.replace("interval: 1s", "intervall: 1s").replace("max(age)", "''").replace("1m", "1x")
    )
    with pytest.raises(PlanError) as caught:
        load(text)
    lines = [problem.line for problem in caught.value.problems]
    assert lines == sorted(lines)
    assert len(str(caught.value).splitlines()) == len(set(caught.value.problems)) == 3
    assert caught.value.line == 2
    assert str(caught.value).startswith(
        str(caught.value.path) + ":2: defaults.min_duration: was '1x'"
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "1: is empty"),
        ("a: [", "2: no YAML"),
        ("[" * 5000, "deeper than 40 levels"),
        ("- &a x\n" + "- *a\n" * 60_000, "larger than"),
        ("x: 1\n" * 50_000, "too many values"),
        ("x" * (PLAN_BYTES + 1), "larger than"),
    ],
)
def test_hostile_files_are_refused(load, text, message):
    """Depth and size are bounded before anything recursive sees the file."""
    with pytest.raises(PlanError, match=message):
        load(text)


def test_alias_bomb_is_refused(load):
    """A few lines that stand for billions of values cost nothing."""
    levels = [f"l{level}: &l{level} [{', '.join([f'*l{level - 1}'] * 9)}]" for level in range(1, 9)]
    with pytest.raises(PlanError, match="aliases expand too far"):
        load("\n".join(["l0: &l0 [x, x]", *levels]))


def test_alias_into_itself_is_refused(load):
    """An anchor that contains itself has no end."""
    with pytest.raises(PlanError, match="aliases expand too far"):
        load("name: &loop [*loop]")


def test_missing_file_is_a_problem_with_its_path(tmp_path):
    """The message names the file and what the system said."""
    with pytest.raises(PlanError, match=r"none\.yaml:1: cannot be read: No such file"):
        load_plan(tmp_path / "none.yaml")


@pytest.mark.parametrize(
    ("text", "seconds"), [("15s", 15), ("30m", 1800), ("24h", 86_400), ("0.5s", 0.5)]
)
def test_durations(text, seconds):
    """Seconds, minutes and hours."""
    assert seconds_of(text) == seconds


@pytest.mark.parametrize(
    "text", ["", "15", 15, "15 s", "-5s", "1h30m", "5S", "5d", None, "1e3s", "٣s"]
)
def test_anything_else_is_no_duration(text):
    """A number without unit, a sign, a sum: refused, not guessed."""
    with pytest.raises(ValueError, match="a duration is written"):
        seconds_of(text)


def test_check_command_prints_steps_or_problems(tmp_path):
    """Exit 0 with the steps, exit 2 with the problems."""
    good = CliRunner().invoke(plan_app, ["check", str(PLANS / "demo.yaml")])
    assert good.exit_code == 0
    assert "cutover-10" in good.output
    path = tmp_path / "bad.yaml"
    path.write_text(PLAN.replace("interval: 1s", "intervall: 1s"))
    bad = CliRunner().invoke(plan_app, ["check", str(path)])
    assert bad.exit_code == 2
    assert f"{path}:20: phases.cutover.steps[1].gate.intervall" in bad.output
