import pytest
from hypothesis import given
from hypothesis import strategies as st

from feed_migration.errors import UsageError
from feed_migration.prometheus.promql import (
    checked_query,
    freshness_query,
    quote,
    range_seconds,
    selector,
    variant_of,
)
from tests.support.gate_traces import criterion


def test_quote_escapes_what_could_end_the_string():
    """Backslash, quote and newline are escaped, and nothing else."""
    assert quote('a\\b"c\nd{}') == '"a\\\\b\\"c\\nd{}"'


def test_selector_sorts_and_quotes():
    """Matchers are exact and in a stable order."""
    assert selector("up", {"b": "2", "a": '"'}) == 'up{a="\\"",b="2"}'


@pytest.mark.parametrize(
    ("metric", "label"), [("up or up", "a"), ("", "a"), ("up", "a=b"), ("up", "")]
)
def test_impossible_names_are_refused(metric, label):
    """Names cannot be escaped, so they are checked."""
    with pytest.raises(UsageError):
        selector(metric, {label: "x"})


def test_freshness_follows_the_variant_of_the_query():
    """The default asks the age of the slowest instance of the same feed."""
    assert variant_of("x{variant='ccxt'}") == "ccxt"
    assert freshness_query(criterion(query='x{a="b", variant = "ccxt"}')) == (
        "time() - min(max by (instance_id)"
        ' (backpack_feed_last_message_timestamp_seconds{variant="ccxt"}))'
    )
    assert 'variant="native"' in freshness_query(criterion(query="x"))
    assert freshness_query(criterion(freshness_query="vector(1)")) == "vector(1)"


@pytest.mark.parametrize(
    ("query", "seconds"),
    [
        ("up", 0),
        ("rate(up[1m])", 60),
        ("sum(rate(up[5m])) / sum(increase(up[90s]))", 300),
        ("max_over_time(rate(up[1m])[10m:30s])", 600),
        ("up offset 1h", 0),
    ],
)
def test_range_is_the_longest_that_the_query_reads(query, seconds):
    """Ticks nearer to each other than that share samples."""
    assert range_seconds(query) == seconds


@given(st.text(), st.text())
def test_quoted_label_values_always_parse(one, two):
    """No label value makes a selector unparsable, or longer than it was."""
    query = checked_query(selector("up", {"a": one, "b": two}))
    assert range_seconds(query) == 0


@pytest.mark.parametrize(
    "query",
    [
        "(" * 1000 + "x" + ")" * 1000,
        "+".join(["x"] * 1000),
        "-" * 1000 + "x",
        " or ".join("x" * 500),
    ],
)
def test_endless_query_is_refused_at_once(query):
    """A query of a thousand brackets or operators costs its reader no minutes."""
    with pytest.raises(ValueError, match="more than 100 brackets and operators"):
        checked_query(query)


def test_operators_within_texts_do_not_count():
    """A label value may look like anything."""
    assert checked_query('x{a="' + "(-" * 500 + "\"} + y{b='" + "or " * 500 + "'}")
