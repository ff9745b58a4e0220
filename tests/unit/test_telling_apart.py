"""How many series a query can give, told from its text."""

import pytest

from feed_migration.prometheus.telling_apart import labels_apart


@pytest.mark.parametrize(
    "query",
    [
        "1",
        "time()",
        "scalar(a)",
        "vector(1)",
        "absent(a)",
        "sum(a)",
        "-(max(a))",
        "count(a == 1)",
        "sum by () (a)",
        "quantile(0.9, a)",
        "1 - sum(a) / sum(b)",
        "sum(a) / b",
        "sum(a) > bool 2",
        "time() - min(max by (instance_id) (a))",
        "sum(a) or vector(0)",
        "sum(a) and on () b",
        "clamp_min(sum(a), 0)",
        "max_over_time(sum(a)[5m:1m])",
        "histogram_quantile(0.9, sum by (le) (rate(a[1m])))",
    ],
)
def test_one_series_at_most(query):
    """Whatever is in Prometheus."""
    assert labels_apart(query) == frozenset()


@pytest.mark.parametrize(
    ("query", "labels"),
    [
        ("max by (symbol) (a)", {"symbol"}),
        ("max by (instance_id, kind) (a) * 2", {"instance_id", "kind"}),
        ("2 - max by (instance_id) (a)", {"instance_id"}),
        ("max by (symbol) (a) or min by (kind) (a)", {"symbol", "kind"}),
        ("max by (symbol) (a) unless b", {"symbol"}),
        ("histogram_quantile(0.9, sum by (le, channel) (a))", {"channel"}),
        ("round(max by (symbol) (a))", {"symbol"}),
    ],
)
def test_labels_of_the_groups(query, labels):
    """Those that `by` names, and that are left."""
    assert labels_apart(query) == labels


@pytest.mark.parametrize(
    "query",
    [
        "a",
        "rate(a[1m])",
        "topk(3, a)",
        "topk by (instance_id) (1, a)",
        'count_values("version", a)',
        "sum without (symbol) (a)",
        "a / 2",
        "a / on (x) group_left (y) sum by (x) (b)",
        "sum(a) or b",
        'label_replace(sum(a), "x", "y", "", "")',
    ],
)
def test_the_text_does_not_say(query):
    """What the series are is known to Prometheus alone."""
    assert labels_apart(query) is None
