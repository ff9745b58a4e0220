from dataclasses import replace

import pytest

from feed_migration.gates.judge import confirm, measure, needs_confirmation
from feed_migration.model import Answer, Band, Comparison, Measurement, Outcome, Reducer
from tests.support.gate_traces import BASELINE, answer, criterion

inf, nan = float("inf"), float("nan")


def of(one, answered, fleet_size=3):
    return measure(one, answered, 0.0, fleet_size)


@pytest.mark.parametrize(
    ("value", "outcome"),
    [
        (0.3, Outcome.SUCCESS),
        (30, Outcome.SUCCESS),
        (30.1, Outcome.INCONCLUSIVE),
        (44.9, Outcome.INCONCLUSIVE),
        (45, Outcome.FAILURE),
        (nan, Outcome.INCONCLUSIVE),
        (inf, Outcome.FAILURE),
        (-inf, Outcome.FAILURE),
    ],
)
def test_value_is_classified_by_the_two_bands(value, outcome):
    """Within success is Success, beyond failure Failure, between and NaN Inconclusive."""
    assert of(criterion(), answer(value)).outcome is outcome


def test_two_sided_failure_is_everything_outside():
    """`failure: {min: 5, max: -5}` fails far above and far below."""
    one = criterion(success=Band(minimum=-1, maximum=1), failure=Band(minimum=5, maximum=-5))
    found = [of(one, answer(value)).outcome.value for value in (-6, -3, 0, 3, 6)]
    assert found == ["Failure", "Inconclusive", "Success", "Inconclusive", "Failure"]


@pytest.mark.parametrize(
    ("answered", "counts_as"),
    [
        (answer(baseline=BASELINE), Outcome.FAILURE),
        (answer(baseline=()), Outcome.ERROR),
        (answer(baseline=None), Outcome.ERROR),
        (answer(baseline=answer(nan).series), Outcome.ERROR),
        (answer(baseline=BASELINE, baseline_error="refused"), Outcome.ERROR),
    ],
)
def test_no_data_is_blamed_on_the_feed_only_beside_a_live_baseline(answered, counts_as):
    """Empty counts as Failure where the control group reports, as Error everywhere else."""
    measured = of(criterion(), answered)
    assert (measured.outcome, measured.counts_as) == (Outcome.NO_DATA, counts_as)


@pytest.mark.parametrize("age", [45.1, 1e9, nan, None, -46.0])
def test_stale_or_ageless_samples_are_no_data(age):
    """A fresh Prometheus sample of an old message is no data, and so is one of unknown age."""
    measured = of(criterion(max_age_seconds=45.0), answer(0.3, age_seconds=age))
    assert measured.outcome is Outcome.NO_DATA


@pytest.mark.parametrize("age", [-46.0, -1e9, -inf])
def test_clock_that_is_off_is_blamed_on_no_feed(age):
    """A message from the future weighs as an Error, also beside a live baseline."""
    answered = answer(0.3, age_seconds=age, baseline=BASELINE)
    measured = of(criterion(max_age_seconds=45.0), answered)
    assert (measured.outcome, measured.counts_as) == (Outcome.NO_DATA, Outcome.ERROR)
    assert "set the clocks" in measured.detail


def test_fresh_samples_count():
    """An age up to the limit is data, a little clock skew included."""
    for age in (-2.0, 0.0, 45.0):
        measured = of(criterion(max_age_seconds=45.0), answer(0.3, age_seconds=age))
        assert measured.outcome is Outcome.SUCCESS


@pytest.mark.parametrize(
    "answered", [Answer(error="refused"), answer(0.3, warnings=("partial response",))]
)
def test_errors_and_warnings_are_errors_whatever_the_data(answered):
    """A warning of Prometheus makes its data worthless."""
    measured = of(criterion(), answered)
    assert (measured.outcome, measured.counts_as) == (Outcome.ERROR, Outcome.ERROR)


def test_all_takes_the_worst_series_and_names_it():
    """One bad series among good ones is the measurement, wherever it stands in the answer."""
    for values in ((0.1, 60, 50), (60, 0.1, nan), (50, 60, 0.1)):
        measured = of(criterion(), answer(*values))
        assert (measured.outcome, measured.value) == (Outcome.FAILURE, 60)
        assert measured.series == (("instance_id", f"feed-{values.index(60):02}"),)


def test_nan_beside_success_is_inconclusive():
    """One series without a number keeps the others from a Success."""
    assert of(criterion(), answer(0.1, nan)).outcome is Outcome.INCONCLUSIVE


@pytest.mark.parametrize(
    ("reducer", "values", "expected"),
    [
        (Reducer.ANY, (60, 0.1), 0.1),
        (Reducer.MAX, (1, 9, 5), 9),
        (Reducer.MIN, (4, 1, 5), 1),
        (Reducer.SUM, (1, 2, 3), 6),
        (Reducer.AVG, (1, 2, 3), 2),
    ],
)
def test_reducers_make_one_value_of_many(reducer, values, expected):
    """any, max, min, sum and avg do what they say."""
    assert of(criterion(reducer=reducer), answer(*values)).value == expected


@pytest.mark.parametrize("reducer", [Reducer.MAX, Reducer.MIN, Reducer.SUM, Reducer.AVG])
def test_no_reducer_hides_nan_or_infinity(reducer):
    """NaN among the values is Inconclusive, an infinity of either sign a Failure."""
    one = criterion(reducer=reducer)
    assert of(one, answer(1, nan, 2)).outcome is Outcome.INCONCLUSIVE
    assert of(one, answer(1, -inf, nan)).outcome is Outcome.FAILURE
    assert of(one, answer(inf, -inf)).outcome is Outcome.FAILURE


def test_nan_hides_no_failure_of_a_maximum_or_minimum():
    """Whatever the unknown series is, the largest of all is at least as bad as the known one."""
    high, low = criterion(reducer=Reducer.MAX), criterion(reducer=Reducer.MIN)
    assert of(high, answer(nan, 60)).outcome is Outcome.FAILURE
    assert of(low, answer(nan, 60)).outcome is Outcome.INCONCLUSIVE
    bands = {"success": Band(minimum=1), "failure": Band(maximum=0)}
    assert of(replace(low, **bands), answer(-1, nan)).outcome is Outcome.FAILURE
    assert of(replace(high, **bands), answer(-1, nan)).outcome is Outcome.INCONCLUSIVE
    both = {"success": Band(minimum=-1, maximum=1), "failure": Band(minimum=5, maximum=-5)}
    found = [of(replace(high, **both), answer(value, nan)).outcome for value in (6, -6)]
    assert found == [Outcome.FAILURE, Outcome.INCONCLUSIVE]
    assert of(high, answer(nan, nan)).outcome is Outcome.INCONCLUSIVE


def test_symbols_are_no_instances():
    """A query that lost `instance_id` counts no symbol, channel or variant for an instance."""
    one = criterion(expect_series="fleet")
    for name in ("symbol", "channel", "variant"):
        series = tuple((((name, value),), 0.1) for value in "ABC")
        measured = of(one, Answer(series=series, baseline=BASELINE))
        assert (measured.outcome, measured.detail[:8]) == (Outcome.NO_DATA, "1 of 3 i")
    series = tuple(((("instance", value),), 0.1) for value in "ABC")
    assert of(one, Answer(series=series)).outcome is Outcome.SUCCESS


@pytest.mark.parametrize("sign", [1, -1])
def test_sum_beyond_a_float_is_an_infinity(sign):
    """Values that add up to more than a float holds are a Failure, and never an exception."""
    huge = answer(sign * 1e308, sign * 1e308)
    assert of(criterion(reducer=Reducer.SUM), huge).outcome is Outcome.FAILURE
    assert of(criterion(reducer=Reducer.AVG), huge).value == sign * 1e308


def test_fleet_counts_instances_not_series():
    """Many symbols of one instance do not stand in for an instance that is missing."""
    series = tuple(
        ((("instance_id", "feed-00"), ("symbol", symbol)), 0.1) for symbol in ("A", "B", "C")
    )
    measured = of(criterion(expect_series="fleet"), Answer(series=series, baseline=BASELINE))
    assert (measured.outcome, measured.counts_as) == (Outcome.NO_DATA, Outcome.FAILURE)
    assert "1 of 3 instances" in measured.detail


def test_too_few_series_are_no_data_but_hide_no_failure():
    """Below expect_series good values are no data, while a bad one is still a Failure."""
    one = criterion(expect_series=2)
    assert of(one, answer(0.1)).outcome is Outcome.NO_DATA
    assert of(one, answer(60)).outcome is Outcome.FAILURE
    assert of(one, answer(0.1, 0.2)).outcome is Outcome.SUCCESS


def test_comparison_without_control_group_is_no_success():
    """A comparison that has nothing to compare with proves nothing."""
    one = criterion(baseline_query="b", comparison=Comparison(max_increase=1.2, min_samples=2))
    assert of(one, answer(0.1, baseline=())).outcome is Outcome.INCONCLUSIVE
    assert of(one, answer(0.1, baseline=answer(nan).series)).outcome is Outcome.INCONCLUSIVE
    assert of(one, answer(0.1, baseline_error="refused")).outcome is Outcome.ERROR
    assert of(one, answer(0.1, baseline=BASELINE)).outcome is Outcome.SUCCESS


@pytest.mark.parametrize(
    ("second", "confirmed"),
    [
        (answer(60), True),
        (answer(0.3), False),
        (answer(40), False),
        (answer(nan), False),
        (answer(baseline=BASELINE), True),
        (Answer(error="refused"), True),
    ],
)
def test_failure_stands_unless_the_second_sample_shows_it_gone(second, confirmed):
    """Success and Inconclusive refute a Failure, an Error shows nothing."""
    first = of(criterion(), answer(60))
    assert needs_confirmation(first)
    assert confirm(first, of(criterion(), second)).confirmed is confirmed


def test_missing_series_become_the_pipelines_error_when_the_baseline_goes_too():
    """A Prometheus that loses the native series first and all others next is not the feed."""
    first = of(criterion(), answer(baseline=BASELINE))
    confirmed = confirm(first, of(criterion(), answer(baseline=())))
    assert (confirmed.counts_as, confirmed.confirmed) == (Outcome.ERROR, True)


@pytest.mark.parametrize("value", [0.25, nan, inf, -inf, None])
def test_measurements_survive_their_row(value):
    """A row is plain JSON, and reads back equal."""
    import json

    measured = Measurement(
        criterion="stale",
        tick_seconds=15.0,
        outcome=Outcome.FAILURE,
        counts_as=Outcome.FAILURE,
        value=value,
        series=(("instance_id", "feed-00"),),
        confirmed=False,
    )
    row = json.loads(json.dumps(measured.to_row(), allow_nan=False))
    assert repr(Measurement.from_row(row)) == repr(measured)
