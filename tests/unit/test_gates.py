import random
import time

import pytest

from feed_migration.gates.comparing import PairedRatio
from feed_migration.gates.judge import end, judge
from feed_migration.model import (
    Comparison,
    Decision,
    FailureWindow,
    Measurement,
    Objective,
    Outcome,
    Severity,
)
from tests.support.gate_traces import KINDS, answer, criterion, decided, gate, judged, measured

G, B, U, N, E = "good", "bad", "bad?", "nan", "error"
PROMOTE, HOLD, ROLLBACK, RUNNING = (
    Decision.PROMOTE,
    Decision.HOLD,
    Decision.ROLLBACK,
    Decision.RUNNING,
)
SOFT = {"severity": Severity.SOFT}


def test_good_ticks_promote_at_min_duration_and_not_before():
    """Full coverage of Successes promotes at the first tick at or after min_duration."""
    assert decided([G] * 4) is RUNNING
    verdict = judged([G] * 5)
    assert (verdict.decision, verdict.at_seconds) == (PROMOTE, 60)
    assert "5 of 5 ticks" in verdict.reasons[0].text


def test_nothing_measured_never_promotes():
    """No measurement at all is Running, and Hold at max_duration or when it is ended."""
    assert judge(gate(), [], 300).decision is RUNNING
    assert judge(gate(), [], 600).decision is HOLD
    assert end(gate(), [], 0).decision is HOLD
    assert end(gate(), [], 300).decision is HOLD


def test_gate_without_a_deciding_criterion_never_promotes():
    """all([]) is not a proof."""
    info = criterion(severity=Severity.INFO)
    for watched in (gate(info), gate(info, criteria=())):
        assert judge(watched, measured([G] * 40, info), 585).decision is RUNNING
        assert judge(watched, measured([G] * 41, info), 600).decision is HOLD


def test_hard_criterion_rolls_back_on_one_confirmed_failure():
    """The verdict names criterion, value, threshold, series and query."""
    verdict = judged([G, G, B])
    reason = verdict.reasons[0]
    assert verdict.decision is ROLLBACK
    assert (reason.criterion, reason.value, reason.query) == ("stale", 60, "max(stale)")
    assert reason.threshold == "success <= 30, failure >= 45"
    assert reason.series == (("instance_id", "feed-00"),)


def test_every_failing_criterion_is_named():
    """One Failure does not hide another."""
    one, two = criterion("one"), criterion("two")
    measurements = measured([G, B], one) + measured([G, B], two)
    verdict = judge(gate(one, two), measurements, 15)
    assert [reason.criterion for reason in verdict.reasons] == ["one", "two"]


def test_refuted_failure_does_not_roll_back():
    """A burst that is gone at the second sample is not a trend."""
    assert decided([G, U, G, G, G]) is PROMOTE
    assert decided([G, U], criterion()) is RUNNING
    assert decided([G] * 4 + [U]) is RUNNING


def test_first_verdict_stays():
    """What comes after a final verdict changes nothing."""
    assert judged([G, B, G, G, G, G]).at_seconds == 15
    assert judged([G] * 5 + [B]).decision is PROMOTE


@pytest.mark.parametrize("kind", [N, "between", "gone", "empty", E])
def test_unproven_ticks_do_not_cover(kind):
    """NaN, between the bands, NoData and Error lower coverage, and the gate goes on."""
    one = criterion(**SOFT)
    assert decided([kind, *[G] * 5], one, min_coverage=0.95) is RUNNING
    assert decided([kind, *[G] * 19], one, min_coverage=0.95) is PROMOTE
    assert decided([kind, *[G] * 18], one, min_coverage=0.95) is RUNNING


def test_tick_that_was_never_judged_lowers_coverage():
    """A missing tick counts as expected."""
    one = criterion()
    four = [m for m in measured([G] * 5, one) if m.tick_seconds != 30]
    assert judge(gate(one), four, 60).decision is RUNNING
    assert judge(gate(one, min_coverage=0.8), four, 60).decision is PROMOTE


def test_latest_measurement_must_be_a_success_of_this_very_tick():
    """Neither a last Inconclusive nor an absent last measurement promotes, whatever the coverage."""
    one = criterion(**SOFT)
    for kind in (N, "between", E, "gone", B):
        assert (
            decided([*[G] * 30, kind], one, min_coverage=0.5, min_duration_seconds=450) is RUNNING
        )
    two = criterion("two")
    known = measured([G] * 5, one) + measured([G] * 4, two)
    assert judge(gate(one, two, min_coverage=0.5), known, 60).decision is RUNNING


def test_nan_for_the_whole_step_holds_at_max_duration():
    """A quiet market proves nothing, and harms nothing."""
    assert decided([N] * 40) is RUNNING
    assert decided([N] * 41) is HOLD
    assert decided([N] * 41, on_timeout=ROLLBACK) is ROLLBACK


def test_promote_beats_the_timeout_of_the_same_tick():
    """A gate whose max_duration is its min_duration can be passed."""
    assert decided([G] * 5, max_duration_seconds=60) is PROMOTE


def test_failure_limit_means_more_than():
    """failure_limit 3 bears three failures, confirmed or not, and rolls back on the fourth."""
    one = criterion(**SOFT, failure_limit=3)
    for bad in (B, U):
        assert decided([*[bad, G] * 3, G], one, min_duration_seconds=90) is PROMOTE
        assert decided([*[bad, G] * 3, bad], one, min_duration_seconds=90) is ROLLBACK


def test_consecutive_limit_counts_confirmed_failures_in_a_row():
    """A Success and a refuted Failure break the row, a blind tick does not."""
    one = criterion(**SOFT, consecutive_failure_limit=2)
    assert decided([B, B], one) is RUNNING
    assert decided([B, B, B], one) is ROLLBACK
    assert decided([B, B, G, B, B], one) is RUNNING
    assert decided([B, B, U, B, B], one) is RUNNING
    assert decided([B, B, E, B], one) is ROLLBACK


def test_failure_window_forgets():
    """More than two failures within any minute roll back; spread out they do not."""
    one = criterion(**SOFT, failure_window=FailureWindow(limit=2, window_seconds=60))
    assert decided([B, G, B, G, B], one) is ROLLBACK
    assert decided([B, G, G, G, B, G, G, G, B], one, min_duration_seconds=600) is RUNNING


def test_info_criterion_never_decides():
    """Failures, errors and missing data of an info criterion neither stop nor end a gate."""
    good, info = criterion("good"), criterion("info", severity=Severity.INFO, failure_limit=0)
    for kind in KINDS:
        known = measured([G] * 5, good) + measured([kind] * 5, info)
        assert judge(gate(good, info, blind_limit_seconds=10), known, 60).decision is PROMOTE
    assert judge(gate(good, info), measured([G] * 5, good), 60).decision is PROMOTE


@pytest.mark.parametrize("kind", [E, "empty"])
def test_blindness_ends_in_on_blind_after_more_than_the_limit(kind):
    """Errors may last as long as blind_limit; a second more is on_blind."""
    blind = {"blind_limit_seconds": 60.0}
    assert decided([G, *[kind] * 5], **blind) is RUNNING
    assert decided([G, *[kind] * 6], **blind) is ROLLBACK
    assert decided([G, *[kind] * 6], on_blind=HOLD, **blind) is HOLD
    assert decided([G, *[kind] * 4, N, *[kind] * 4], **blind) is RUNNING


def test_blindness_is_judged_between_ticks_too():
    """A gate that gets no ticks at all any more turns blind by the clock."""
    known = measured([G, E], criterion())
    assert judge(gate(blind_limit_seconds=60), known, 75).decision is RUNNING
    assert judge(gate(blind_limit_seconds=60), known, 76).decision is ROLLBACK


def test_consecutive_error_limit_is_blindness():
    """More errors in a row than the limit are on_blind, long before blind_limit."""
    one = criterion(consecutive_error_limit=2)
    assert decided([E, E], one) is RUNNING
    assert decided([E, E, E], one, on_blind=HOLD) is HOLD


def test_failure_beats_error():
    """A failing criterion rolls back although another one is blind and on_blind is hold."""
    bad, blind = criterion("bad"), criterion("blind", consecutive_error_limit=0)
    known = measured([G, B], bad) + measured([G, E], blind)
    verdict = judge(gate(bad, blind, on_blind=HOLD), known, 15)
    assert verdict.decision is ROLLBACK
    assert [reason.criterion for reason in verdict.reasons] == ["bad"]


def test_vanished_native_series_roll_back_beside_a_live_baseline():
    """No data with ccxt present is a Failure; with ccxt gone too it is blindness."""
    assert decided([G, "gone"]) is ROLLBACK
    assert decided([G, "empty"]) is RUNNING


def test_end_before_proof_is_a_hold_that_says_what_was_missing():
    """Cancelled after four good ticks of five: Hold, with the reason."""
    verdict = end(gate(), measured([G] * 4, criterion()), 50)
    assert verdict.decision is HOLD
    assert "ended from outside" in verdict.reasons[0].text
    assert "at least 60 s" in verdict.reasons[1].text


def test_end_at_the_second_when_all_is_proven_promotes():
    """A tick that was due at the very end is not held against the gate."""
    assert end(gate(), measured([G] * 4, criterion()), 60).decision is PROMOTE
    assert end(gate(), measured([G] * 4, criterion()), 61).decision is HOLD


def compared(ratios, minimum=10, **changes):
    one = criterion(
        baseline_query="b",
        comparison=Comparison(max_increase=1.2, min_samples=minimum),
        success=None,
        failure=None,
        **changes,
    )
    from feed_migration.gates.judge import measure

    known = [
        measure(one, answer(ratio, baseline=answer(1.0).series), index * 15.0, 1)
        for index, ratio in enumerate(ratios)
    ]
    return judge(gate(one, max_duration_seconds=1e6), known, (len(ratios) - 1) * 15.0)


def test_comparison_needs_its_samples():
    """Nine pairs of ten neither promote nor roll back; the tenth decides."""
    assert compared([1.0] * 9).decision is RUNNING
    assert compared([1.0] * 10).decision is PROMOTE
    assert compared([2.0] * 9).decision is RUNNING
    assert compared([2.0] * 10).decision is ROLLBACK
    assert compared([2.0] * 10, severity=Severity.SOFT).decision is ROLLBACK


def test_comparison_sees_a_bimodal_outage():
    """Down in 37 of 60 minutes is found, although the median of a rank test might pass it."""
    ratios = ([1.0] * 23 + [50.0] * 37) * 2
    random.Random(1).shuffle(ratios)
    assert compared(ratios, minimum=50).decision is ROLLBACK


def test_comparison_rolls_back_less_than_once_in_a_thousand_a_a_runs():
    """The same feed on both sides, log-normal noise, judged at every tick of an hour."""
    chance = random.Random(7)
    false_alarms = 0
    for _ in range(1000):
        pairs, alarmed = PairedRatio(1.2), False
        for sample in range(240):
            pairs.add(pair(chance.lognormvariate(0, 0.5), chance.lognormvariate(0, 0.5)))
            alarmed |= sample >= 49 and bool(pairs.worse())
        false_alarms += alarmed
    assert false_alarms <= 1


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


def objective(kinds, **changes):
    one = criterion(
        severity=Severity.SOFT, objective=Objective(target=0.99, over_seconds=3600 * 24.0)
    )
    return decided(kinds, one, min_duration_seconds=86_400, max_duration_seconds=90_000, **changes)


def test_objective_bears_its_budget_and_not_one_failure_more():
    """99 % of 24 h at 15 s are 57.6 failures: the 58th rolls back."""
    spread = [G] * 60
    assert objective([*spread, B] * 57) is RUNNING
    assert objective([*spread, B] * 58) is ROLLBACK


def test_objective_promotes_on_the_share_of_good_checks():
    """57 failures in 24 h keep 99 %."""
    assert objective([*[B, *[G] * 99] * 57, *[G] * 62]) is PROMOTE


def test_objective_notices_a_fast_burn():
    """14.4 times too fast over 5 min and 1 h is 35 failures in the last hour."""
    assert objective([G] * 100 + [B] * 34) is RUNNING
    assert objective([G] * 100 + [B] * 35) is ROLLBACK


def test_day_of_ticks_is_judged_within_a_second_per_tick():
    """24 h at 15 s with three criteria, from the first row."""
    criteria = [criterion(f"c{index}", **SOFT, failure_limit=5) for index in range(3)]
    day = [m for one in criteria for m in measured([G] * 5761, one)]
    watched = gate(*criteria, min_duration_seconds=86_400, max_duration_seconds=90_000)
    began = time.process_time()
    assert judge(watched, day, 86_400).decision is PROMOTE
    assert time.process_time() - began < 3


def test_unknown_criteria_of_older_rows_are_ignored():
    """Rows of a criterion that the gate has no more decide nothing."""
    rows = measured([G] * 5, criterion()) + measured([B] * 5, criterion("gone"))
    assert judge(gate(), rows, 60).decision is PROMOTE
    assert [row.outcome for row in rows[-1:]] == [Outcome.FAILURE]


def test_ticks_after_the_time_asked_for_are_not_judged():
    """What the gate said at a moment does not know what came later."""
    known = measured([G, G, B], criterion())
    assert judge(gate(), known, 29).decision is RUNNING
    assert judge(gate(), known, 30).decision is ROLLBACK


def test_reason_without_thresholds_has_no_empty_brackets():
    """Nothing that is not there is put in brackets."""
    one = criterion(success=None, failure=None, severity=Severity.SOFT, consecutive_error_limit=0)
    verdict = judge(gate(one), measured([E], one), 0)
    assert verdict.reasons[0].text.startswith("stale Error: blind: 1 consecutive errors, limit 0 [")
