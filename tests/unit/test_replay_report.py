"""A replay compares by value and prints decimals plainly."""

import io
import json
from decimal import Decimal

import pytest

from backpack_feed.replay.report import Line, compare, plain, print_report, same_value

SAME = [("98.40", Decimal("98.4")), ("0", "0.000"), (1, "1"), ("1e-9", "0.000000001"), (None, None)]
DIFFERENT = [("98.40", "98.41"), (None, 0), (True, 1), (False, "0"), ("buy", "sell"), ("NaN", "1")]


@pytest.mark.parametrize(("one", "other"), SAME)
def test_padded_and_typed_differently_is_the_same(one, other):
    """The venue pads decimals and writes ids as numbers or as text."""
    assert same_value(one, other)


@pytest.mark.parametrize(("one", "other"), DIFFERENT)
def test_null_and_booleans_are_only_themselves(one, other):
    """A null is no zero."""
    assert not same_value(one, other)


def test_only_expected_keys_count():
    """More in the answer is no mismatch, less is one."""
    expected = {"a": {"b": "1.0", "c": 2}}
    assert compare("x", "", expected, {"a": {"b": 1, "c": "2", "d": 3}, "e": 4}) == ()
    (mismatch,) = compare("x", "", expected, {"a": {"b": 1}})
    assert str(mismatch) == "x: a.c should be 2, is absent"


def test_lists_have_the_same_length():
    """A level too many or too few is named by its place."""
    longer = compare("book", "bids", [["1", "2"]], [["1", "2"], ["3", "4"]])
    shorter = compare("book", "bids", [["1", "2"], ["3", "4"]], [["1.0", "2.0"]])
    assert [m.field for m in (*longer, *shorter)] == ["bids[1]", "bids[1]"]


def test_decimals_have_no_exponent():
    """A machine that reads text must not meet 1E-9."""
    assert plain({"p": Decimal("1E-9"), "q": (Decimal("1E+4"),)}) == {
        "p": "0.000000001",
        "q": ["10000"],
    }


def test_a_mismatch_is_marked_for_people_and_listed_for_machines():
    """One line each, and the number of them is returned."""
    line = Line("scenario", {"scenario": "s"}, compare("s", "valid", True, False))
    text, machine = io.StringIO(), io.StringIO()
    assert print_report([line], text, as_json=False) == 1
    assert "  ✗ s: valid should be true, is false" in text.getvalue().splitlines()
    assert print_report([line], machine, as_json=True) == 1
    assert json.loads(machine.getvalue())["mismatches"] == [
        {"place": "s", "field": "valid", "expected": True, "actual": False}
    ]
