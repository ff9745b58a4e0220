"""What must hold for every trace: no Promote without evidence, no restart that changes a verdict."""

from dataclasses import replace
from math import isfinite, nan

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from feed_migration.gates.judge import end, judge, measure
from feed_migration.gates.run import GateRun
from feed_migration.gates.trace import answer_of
from feed_migration.model import Answer, Comparison, Decision, FailureWindow, Outcome, Severity
from tests.support.gate_traces import (
    BASELINE,
    KINDS,
    MemoryLog,
    Recording,
    answer,
    criterion,
    gate,
    measured,
)

START = 1_000_000.0
UNPROVEN = [kind for kind in KINDS if kind not in {"good", "bad"}]
kinds = st.sampled_from([*KINDS, "bad?", "gone?"])
# long good stretches, or hardly a trace would get as far as a Promote
traces = st.lists(
    st.tuples(st.one_of(st.just("good"), kinds), st.integers(1, 8)), min_size=1, max_size=12
).map(lambda runs: [kind for kind, length in runs for _ in range(length)][:48])
limits = st.one_of(st.none(), st.integers(0, 5))
criteria = st.builds(
    criterion,
    severity=st.sampled_from([Severity.HARD, Severity.SOFT, Severity.SOFT]),
    failure_limit=limits,
    consecutive_failure_limit=limits,
    consecutive_error_limit=limits,
    failure_window=st.one_of(
        st.none(), st.builds(FailureWindow, limit=st.integers(0, 4), window_seconds=st.just(90.0))
    ),
)
gates = st.builds(
    lambda one, coverage, on_blind, blind: gate(
        one, min_coverage=coverage, on_blind=on_blind, blind_limit_seconds=blind
    ),
    criteria,
    st.sampled_from([0.3, 0.8, 0.95, 1.0]),
    st.sampled_from([Decision.HOLD, Decision.ROLLBACK]),
    st.sampled_from([30.0, 120.0, 600.0]),
)


def verdict_of(watched, trace):
    known = measured(trace, watched.criteria[0])
    return judge(watched, known, (len(trace) - 1) * watched.interval_seconds)


@settings(deadline=None)
@given(gates, traces)
def test_promote_has_evidence(watched, trace):
    """A Promote has its duration, its coverage and a latest Success."""
    verdict = verdict_of(watched, trace)
    if verdict.decision is Decision.PROMOTE:
        judged = trace[: int(verdict.at_seconds / 15) + 1]
        conclusive = sum(kind in {"good", "bad", "bad?"} for kind in judged)
        assert verdict.at_seconds >= watched.min_duration_seconds
        assert conclusive / len(judged) >= watched.min_coverage - 1e-9
        assert judged[-1] == "good"


@settings(deadline=None)
@given(gates, st.lists(st.sampled_from(UNPROVEN), max_size=48), st.integers(0, 800))
def test_traces_without_one_success_never_promote(watched, trace, at):
    """NaN, between the bands, missing, refused, or nothing at all: never a Promote."""
    known = measured(trace, watched.criteria[0])
    assert judge(watched, known, float(at)).decision is not Decision.PROMOTE
    assert end(watched, known, float(at)).decision in {Decision.HOLD, Decision.ROLLBACK}


@settings(deadline=None)
@given(gates, traces, st.data())
def test_worse_is_never_better(watched, trace, data):
    """Turning any Success into something worse never makes a Promote."""
    good = [index for index, kind in enumerate(trace) if kind == "good"]
    if not good:
        return
    spoiled = list(trace)
    for index in data.draw(st.sets(st.sampled_from(good), min_size=1)):
        spoiled[index] = data.draw(kinds.filter(lambda kind: kind != "good"))
    if verdict_of(watched, trace).decision is not Decision.PROMOTE:
        assert verdict_of(watched, spoiled).decision is not Decision.PROMOTE


@settings(deadline=None)
@given(gates, traces, st.data())
def test_order_of_rows_does_not_matter(watched, trace, data):
    """Rows may come from the journal in any order."""
    known = measured(trace, watched.criteria[0])
    now = (len(trace) - 1) * 15.0
    shuffled = data.draw(st.permutations(known))
    assert judge(watched, shuffled, now).to_json() == judge(watched, known, now).to_json()


@settings(deadline=None)
@given(gates, traces)
def test_time_does_not_undo_a_verdict(watched, trace):
    """Judged later, on the same or on more rows, a final verdict is the same one."""
    known = measured(trace, watched.criteria[0])
    times = [index * 15.0 for index in range(len(trace))]
    final = [v for at in times if (v := judge(watched, known, at)).final]
    assert all(verdict.to_json() == final[0].to_json() for verdict in final)


def recorded(trace, one):
    answers, confirms = [], {}
    for index, kind in enumerate(trace):
        answered = KINDS[kind.removesuffix("?")]
        answers.append({one.name: answered})
        second = KINDS["good"] if kind.endswith("?") else answered
        confirms[one.name, index * 15.0 + 5] = second
    return Recording(answers, confirms=confirms)


def run_of(watched, recording, log):
    return GateRun(
        gate=watched,
        step_name="cutover-10",
        migration_id="mig-1",
        started_unix=START,
        fleet_size=1,
        source=recording,
        journal=log,
    )


def drive(run, until_seconds, verdict=None):
    verdict = verdict or run.tick(START)
    while not verdict.final and run.next_due_unix() <= START + until_seconds:
        verdict = run.tick(run.next_due_unix())
    return verdict


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.filter_too_much])
@given(gates, traces, st.lists(st.tuples(st.integers(0, 700), st.integers(0, 300)), max_size=4))
def test_any_restart_gives_the_verdict_of_the_uninterrupted_run(watched, trace, crashes):
    """Killed at any second, away for any time, resumed from the rows: same verdict, same tick."""
    # what nobody could ask then and cannot ask now is not history: see the unit tests
    trace = ["nan" if kind == "error" else kind for kind in trace]
    recording = recorded(trace, watched.criteria[0])
    until = 700.0
    expected = drive(run_of(watched, recording, MemoryLog()), until)
    log, clock = MemoryLog(), 0.0
    verdict = None
    for crash, away in sorted(crashes):
        if crash < clock:
            continue
        run = run_of(watched, recording, log)
        verdict = drive(run, crash, run.tick(START + clock))
        clock = crash + away
        if verdict.final:
            break
    if verdict is None or not verdict.final:
        run = run_of(watched, recording, log)
        first = run.tick(START + min(clock, until))
        verdict = drive(run, until, first)
    assert verdict.to_json() == expected.to_json()


@settings(max_examples=100, deadline=None)
@given(gates, st.integers(0, 40), st.integers(1, 20))
def test_restart_during_an_outage_never_promotes_early(watched, crash, outage):
    """Prometheus away before, during and after a restart: a Promote still has its evidence."""
    trace = ["good"] * 3 + ["error"] * outage + ["good"] * 40
    recording, log = recorded(trace, watched.criteria[0]), MemoryLog()
    drive(run_of(watched, recording, log), crash * 15.0)
    run = run_of(watched, recording, log)
    verdict = drive(run, 700, run.tick(START + crash * 15.0 + 100))
    if verdict.decision is Decision.PROMOTE:
        ticks = int(verdict.at_seconds / 15) + 1
        good = sum(one.outcome is Outcome.SUCCESS for one in run.measurements()[:ticks])
        assert good / ticks >= watched.min_coverage - 1e-9


forged = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-5, 5),
        st.floats(),
        st.sampled_from(["NaN", "+Inf", "-Inf", "0.3", "x", ""]),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.sampled_from(["instance_id", "metric", "value"]), inner, max_size=2),
    ),
    max_leaves=8,
)
bad_values = st.one_of(st.floats(min_value=30.001), st.just(nan), st.just(-float("inf")))
broken_answers = st.one_of(
    st.fixed_dictionaries(
        {}, optional={"series": forged, "baseline": forged, "age": forged, "warnings": forged}
    ).map(answer_of),
    st.lists(bad_values, max_size=4).map(lambda values: answer(*values, baseline=BASELINE)),
    st.builds(Answer, error=st.text(min_size=1)),
)


@settings(max_examples=300, deadline=None)
@given(broken_answers)
def test_no_forged_answer_promotes(broken):
    """Ten ticks of whatever a broken or lying Prometheus says, unless it says a good value."""
    one = criterion(max_age_seconds=45.0)
    honest = [value for _, value in broken.series if isfinite(value) and value <= 30]
    fresh = broken.age_seconds is not None and abs(broken.age_seconds) <= 45
    if honest and fresh and len(honest) == len(broken.series):
        return
    known = [measure(one, broken, index * 15.0, 1) for index in range(10)]
    verdict = judge(gate(one, min_coverage=0.1), known, 135.0)
    assert verdict.decision is not Decision.PROMOTE


@settings(deadline=None)
@given(st.lists(st.tuples(st.floats(0.01, 10), st.floats(0.01, 10)), max_size=60))
def test_comparison_below_its_samples_decides_nothing(pairs):
    """However bad the ratio, fewer pairs than min_samples neither promote nor roll back."""
    one = criterion(
        success=None,
        failure=None,
        baseline_query="b",
        comparison=Comparison(max_increase=1.2, min_samples=61),
    )
    known = [
        replace(
            measure(one, answer(value, baseline=answer(other).series), index * 15.0, 1),
            criterion=one.name,
        )
        for index, (value, other) in enumerate(pairs)
    ]
    watched = gate(one, max_duration_seconds=1e6)
    assert judge(watched, known, 15.0 * len(pairs)).decision is Decision.RUNNING
