"""How surely one side is worse than the other: p-values and quantiles of scipy. Pure."""

from collections.abc import Sequence

# scipy.stats takes a second to import, which no rollback at a shell may wait for
# ruff: noqa: PLC0415


def t_quantile(degrees_of_freedom: float, probability: float) -> float:
    """Student's quantile: how many standard errors a mean of few samples may be off."""
    from scipy.stats import t

    return float(t.ppf(probability, degrees_of_freedom))


def rate_p(
    events: int, exposure: float, baseline_events: int, baseline_exposure: float, ratio: float
) -> float:
    """P of so many events or more, if the rate were `ratio` times the baseline's.

    Przyborowski and Wilenski's exact test of two Poisson rates: given their sum, the events of one
    side are binomial. Right with few events, and with none at all on the baseline's side.
    """
    from scipy.stats import binomtest

    total = events + baseline_events
    if total == 0:
        return 1.0
    share = ratio * exposure / (ratio * exposure + baseline_exposure)
    return float(binomtest(events, total, share, alternative="greater").pvalue)


def rank_p(values: Sequence[float], baseline: Sequence[float]) -> float:
    """Mann and Whitney's P that `values` only happen to lie so high above `baseline`."""
    from scipy.stats import mannwhitneyu

    if max(*values, *baseline) == min(*values, *baseline):
        return 1.0
    result = mannwhitneyu(values, baseline, alternative="greater", method="asymptotic")
    return float(result.pvalue)


def tail_p(values: Sequence[float], baseline: Sequence[float]) -> float:
    """The precedence test's exact P of so many `values` above nearly all of `baseline`.

    It sees an outage of half the time, of which a rank test makes little. "Nearly all" leaves the
    highest twentieth of the baseline out, so that one outlier there hides nothing.
    """
    from scipy.stats import hypergeom

    left_out = len(baseline) // 20
    bar = sorted(baseline)[-1 - left_out]
    above = sum(value > bar for value in values)
    if above == 0:
        return 1.0
    # above the bar means: among the highest so many of all, at most `left_out` are of the baseline
    total, top = len(values) + len(baseline), above + left_out
    return float(hypergeom.cdf(left_out, total, len(baseline), top))
