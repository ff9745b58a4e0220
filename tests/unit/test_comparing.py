"""Each comparison finds what is worse, and does not find what is not."""

import random
from dataclasses import replace

import pytest

from feed_migration.gates.comparing import PairedRatio, Ranks, RateRatio, evidence_for
from feed_migration.gates.judge import judge, measure
from feed_migration.gates.significance import rank_p, rate_p, tail_p
from feed_migration.model import Answer, Comparison, Decision, Measurement, Outcome, Severity
from tests.support.gate_traces import answer, criterion, gate


def pair(value, baseline, **changes):
    return Measurement(
        criterion="c",
        tick_seconds=0.0,
        outcome=Outcome.SUCCESS,
        counts_as=Outcome.SUCCESS,
        value=value,
        baseline_value=baseline,
        **changes,
    )


def fed(evidence, pairs, **changes):
    for value, baseline in pairs:
        evidence.add(pair(value, baseline, **changes))
    return evidence


def counted(events, others, limit=1.0, overlap=1.0):
    """Events per tick of both sides, in a thousand messages each."""
    exposures = {"exposure": 1000.0, "baseline_exposure": 1000.0}
    return fed(RateRatio(limit, overlap), zip(events, others, strict=True), **exposures)


def test_rate_test_is_the_exact_conditional_one():
    """Twenty to none at equal exposure is 2^-20; fifteen to five is what a table of it says."""
    assert rate_p(20, 10.0, 0, 10.0, 1.0) == pytest.approx(2**-20)
    assert rate_p(15, 10.0, 5, 10.0, 1.0) == pytest.approx(0.020695, rel=1e-4)
    assert rate_p(15, 20.0, 5, 10.0, 1.0) == pytest.approx(0.297214, rel=1e-4)
    assert rate_p(15, 10.0, 5, 10.0, 2.0) == pytest.approx(0.297214, rel=1e-4)
    assert rate_p(0, 10.0, 0, 10.0, 1.0) == 1.0


def test_tail_test_is_exact():
    """K of n above all of n others: (2n-k choose n) of (2n choose n)."""
    high = [9.0] * 5 + [0.0] * 5
    assert tail_p(high, [1.0] * 10) == pytest.approx(3003 / 184756)
    assert tail_p([0.5] * 10, [1.0] * 10) == 1.0
    outlier = [1.0] * 19 + [99.0]
    assert tail_p([5.0] * 12 + [0.5] * 8, outlier) < 3e-4
    assert rank_p([1.0] * 5, [1.0] * 5) == 1.0


def test_more_errors_than_the_baseline_are_worse():
    """One a minute beside none in twenty minutes; as many on both sides are fine."""
    assert "20 in 20000 beside 0 in 20000" in counted([1] * 20, [0] * 20).worse()
    assert counted([1] * 20, [1] * 20).worse() == ""
    assert counted([1] * 20, [1] * 20).unproven() == ""
    assert counted([0] * 20, [0] * 20).unproven() == ""


def test_a_few_more_errors_are_a_doubt():
    """Six to none is unlikely, and no proof."""
    some = counted([1] * 6 + [0] * 14, [0] * 20)
    assert (some.worse(), some.unproven() != "") == ("", True)


def test_max_increase_is_a_margin():
    """Twice as many are worse than once, and not worse than three times."""
    events, others = [4] * 60, [2] * 60
    assert counted(events, others).worse()
    assert counted(events, others, limit=3.0).unproven() == ""


def test_one_burst_is_one_event():
    """Forty errors of one disconnect prove nothing, forty of forty minutes do."""
    burst = [0] * 39 + [40]
    assert counted(burst, [0] * 40).unproven() == ""
    assert counted([1] * 40, [0] * 40).worse()


def test_overlapping_windows_count_once():
    """Twelve ticks a minute over one-minute windows see every error twelve times."""
    exposures = {"exposure": 1000.0, "baseline_exposure": 1000.0}
    same = RateRatio(1.0, 12.0)
    fed(same, [(1, 0)] * 24, **exposures)
    assert same.unproven() == ""
    assert counted([1] * 24, [0] * 24).worse()


@pytest.mark.parametrize("exposure", [None, 0.0, float("nan"), float("inf")])
def test_rate_without_exposure_is_no_sample(exposure):
    """Nothing in which an event could have happened proves nothing."""
    evidence = RateRatio(1.0)
    evidence.add(pair(5, 0, exposure=exposure, baseline_exposure=10.0))
    evidence.add(pair(5, 0, exposure=10.0, baseline_exposure=exposure))
    evidence.add(pair(float("nan"), 0, exposure=10.0, baseline_exposure=10.0))
    assert (evidence.samples, evidence.p_value) == (0, 1.0)
    one = rated()
    answered = answer(0.0, baseline=answer(0.0).series, exposure=exposure, baseline_exposure=9.0)
    assert measure(one, answered, 0.0, 1).outcome is Outcome.INCONCLUSIVE


@pytest.mark.parametrize(
    ("mine", "theirs", "exposure"),
    [
        (1e200, 1.0, 1000.0),
        (1.0, 1e200, 1000.0),
        (1e308, 1e308, 1e308),
        (5.0, 5.0, 5e-324),
        (-1.0, 0.0, 1000.0),
        (0.0, -1.0, 1000.0),
    ],
)
def test_absurd_counts_are_no_sample_and_stop_no_judge(mine, theirs, exposure):
    """Counts that no window can have, and exposures of nearly nothing: the tick is unproven."""
    one = rated()
    answered = replace(
        answer(mine, baseline=answer(theirs).series), exposure=exposure, baseline_exposure=exposure
    )
    known = [measure(one, answered, index * 15.0, 1) for index in range(20)]
    assert {each.outcome for each in known} == {Outcome.INCONCLUSIVE}
    assert judge(gate(one), known, 285.0).decision is Decision.RUNNING
    evidence = RateRatio(1.0)
    for each in known:
        evidence.add(each)
    assert (evidence.samples, evidence.worse()) == (0, "")


@pytest.mark.parametrize("method", ["paired_ratio", "rank"])
@pytest.mark.parametrize(("value", "baseline"), [(5.0, -0.001), (-5.0, 1.0), (-5.0, -1.0)])
def test_a_multiple_of_less_than_nothing_proves_nothing(method, value, baseline):
    """Times the limit a negative baseline would be lower: no pair and no Success."""
    comparison = Comparison(method=method, max_increase=1.2, min_samples=2)
    one = criterion(success=None, failure=None, baseline_query="b", comparison=comparison)
    answered = answer(value, baseline=answer(baseline).series)
    assert measure(one, answered, 0.0, 1).outcome is Outcome.INCONCLUSIVE
    assert fed(evidence_for(comparison, 15.0), [(value, baseline)]).samples == 0


def test_the_same_feed_on_both_sides_of_nothing_is_not_worse_by_rank():
    """A lead of 80 ms beside a lead of 80 ms, in noise."""
    chance = random.Random(1)
    pairs = [(chance.gauss(-0.08, 0.01), chance.gauss(-0.08, 0.01)) for _ in range(400)]
    found = fed(Ranks(1.5), pairs)
    assert (found.worse(), found.unproven()) == ("", "")


def test_rank_sees_a_shift():
    """Half as slow again, in noise, is found; a tenth is within the limit."""
    chance = random.Random(3)
    noise = [(chance.lognormvariate(0, 0.2), chance.lognormvariate(0, 0.2)) for _ in range(100)]
    slower = [(value * 2.0, other) for value, other in noise]
    assert "times the baseline by rank or in the tail" in fed(Ranks(1.2), slower).worse()
    assert fed(Ranks(1.2), noise).unproven() == ""


@pytest.mark.parametrize("method", [PairedRatio, Ranks])
def test_bimodal_outage_is_found(method):
    """Down in 37 of 60 minutes, beside a baseline with one outlier of its own."""
    pairs = [(1.0, 1.0)] * 23 + [(50.0, 1.0)] * 36 + [(50.0, 60.0)]
    random.Random(2).shuffle(pairs)
    assert fed(method(1.2), pairs).worse()


def test_rare_slow_minutes_are_found_by_the_tail():
    """Thirty bad ticks of a hundred move no median, and no baseline tick is like them."""
    pairs = [(0.9, 1.0)] * 70 + [(5.0, 1.0)] * 30
    random.Random(2).shuffle(pairs)
    assert fed(Ranks(1.2), pairs).worse()


def test_rank_takes_independent_values_only_and_forgets_old_ones():
    """One of three overlapping ticks; 2,000 at most."""
    few = fed(Ranks(1.2, 3.0), [(5.0, 1.0)] * 9)
    assert (len(few.values), few.samples) == (3, 9)
    assert len(fed(Ranks(1.2), [(1.0, 1.0)] * 2100).values) == 2000


def test_non_finite_pairs_are_no_samples():
    """NaN and infinities of either side are left out."""
    for evidence in (PairedRatio(1.2), Ranks(1.2)):
        fed(evidence, [(float("nan"), 1.0), (1.0, float("inf")), (None, 1.0), (1.0, None)])
        assert evidence.samples == 0


def test_overlap_widens_the_error_of_the_paired_ratio():
    """The same pairs say less if they share their samples."""
    pairs = [(1.3, 1.0), (1.5, 1.0)] * 15
    assert fed(PairedRatio(1.2), pairs).worse()
    assert fed(PairedRatio(1.2, 12.0), pairs).worse() == ""
    assert "limit 1.2" in fed(PairedRatio(1.2, 12.0), pairs).unproven()
    assert fed(PairedRatio(1.2, 40.0), pairs).at_least == 0.0


def rated(**changes):
    return criterion(
        success=None,
        failure=None,
        severity=Severity.SOFT,
        baseline_query="b",
        comparison=Comparison(
            method="rate_ratio",
            max_increase=1.0,
            min_samples=10,
            exposure_query="e",
            baseline_exposure_query="f",
        ),
        **changes,
    )


def run(events, others):
    one = rated()
    known = [
        measure(
            one,
            replace(
                answer(float(mine), baseline=answer(float(theirs)).series),
                exposure=1000.0,
                baseline_exposure=1000.0,
            ),
            index * 15.0,
            1,
        )
        for index, (mine, theirs) in enumerate(zip(events, others, strict=True))
    ]
    known = [Measurement.from_row(one.to_row()) for one in known]
    return judge(gate(one, max_duration_seconds=1e6), known, (len(known) - 1) * 15.0)


def test_gate_with_a_rate_promotes_holds_on_and_rolls_back():
    """Equal rates promote, some more are waited for, many more roll back; rows keep exposures."""
    assert run([1] * 10, [1] * 10).decision is Decision.PROMOTE
    assert run([0] * 9, [0] * 9).decision is Decision.RUNNING
    assert run([1] * 7 + [0] * 3, [0] * 10).decision is Decision.RUNNING
    verdict = run([1] * 20, [0] * 20)
    assert verdict.decision is Decision.ROLLBACK
    assert "20000 of the baseline" not in verdict.reasons[0].text
    assert verdict.at_seconds < 20 * 15


def test_methods_have_their_own_evidence_and_forks_do_not_share():
    """A look ahead leaves the memory as it was."""
    for method in ("paired_ratio", "rate_ratio", "rank"):
        comparison = Comparison(method=method, max_increase=1.2, min_samples=2, window_seconds=60.0)
        evidence = evidence_for(comparison, 15.0)
        assert evidence.overlap == 4.0
        copy = evidence.fork()
        fed(copy, [(9.0, 1.0)] * 8, exposure=5.0, baseline_exposure=5.0)
        assert (evidence.samples, copy.samples) == (0, 8)
        assert evidence == evidence_for(comparison, 15.0)
    assert evidence_for(replace(comparison, window_seconds=1.0), 15.0).overlap == 1.0


def test_answer_has_no_exposure_by_itself():
    """Older recordings have none."""
    assert Answer().exposure is None
