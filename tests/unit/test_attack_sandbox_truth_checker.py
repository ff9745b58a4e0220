"""Tapes that lie in ways a careless checker would not see."""

import json
from itertools import pairwise

import pytest

from backpack_sandbox.truth.checker import check_tape
from backpack_sandbox.truth.findings import Kind
from tests.support.true_tapes import CATALOG, feed_tape, publishing, wire_tape


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    with publishing(tmp_path_factory.mktemp("truth"), 120) as found:
        yield found


def found_kinds(published, lines):
    texts = [line if isinstance(line, bytes) else json.dumps(line).encode() for line in lines]
    counts = check_tape("tape", texts, CATALOG, published.ledger).counts
    return {kind for kind, count in counts.items() if count}


def words(published, *lines):
    """Every finding in one line each."""
    texts = [json.dumps(line).encode() for line in lines]
    return [str(finding) for finding in check_tape("x", texts, CATALOG, published.ledger).first]


def first(published, mark, is_wanted=lambda line: True):
    """The first line of the perfect wire tape with `mark` in it, decoded."""
    lines = (json.loads(line) for line in wire_tape(published) if mark in line)
    return next(line for line in lines if is_wanted(line))


def test_a_book_with_a_level_twice_is_wrong(published):
    """As a set of levels it would be right."""
    book = next(json.loads(line) for line in feed_tape(published) if b"l2_book" in line)
    for _ in range(100):
        book["bids"].append(book["bids"][-1])
    assert found_kinds(published, [book]) == {Kind.WRONG_LEVELS}


def test_a_rest_book_in_another_order_is_wrong(published):
    """Both sides ascend."""
    line = first(published, b'"depth":')
    line["depth"]["asks"].reverse()
    assert found_kinds(published, [line]) == {Kind.WRONG_LEVELS}


@pytest.mark.parametrize("limit", [0, 7])
def test_a_rest_book_of_no_limit_of_the_venue_is_unreadable(published, limit):
    """An empty book with limit 0 would agree with every truth."""
    line = first(published, b'"depth":')
    line["depth"] |= {"bids": [], "asks": []}
    line["limit"] = limit
    assert found_kinds(published, [line]) == {Kind.UNREADABLE}


@pytest.mark.parametrize("kind", ["depth", "trade", "bookTicker"])
@pytest.mark.parametrize("stream", ["{}.BTC_USDC", "{}.1ms.SOL_USDC", "{}", "trade.x.SOL_USDC"])
def test_a_frame_under_another_stream_is_unreadable(published, kind, stream):
    """Its ids would be followed apart, so that a repeat was none."""
    line = first(published, f'"stream":"{kind}.SOL_USDC"'.encode())
    assert found_kinds(published, [line]) == set()
    line["stream"] = stream.format(kind)
    assert found_kinds(published, [line]) & {Kind.UNREADABLE, Kind.INVENTED}


def test_a_frame_of_another_event_is_unreadable(published):
    """The name of the event is the stream's."""
    line = first(published, b'"stream":"depth.SOL_USDC"')
    line["data"]["e"] = "trade"
    assert found_kinds(published, [line]) == {Kind.UNREADABLE}


@pytest.mark.parametrize("side", ["a", "b"])
def test_a_trade_of_other_orders_is_altered(published, side):
    """The order ids of a frame are compared as well."""
    line = first(published, b'"stream":"trade.SOL_USDC"')
    line["data"][side] = str(int(line["data"][side]) + 1)
    assert found_kinds(published, [line]) == {Kind.ALTERED}


@pytest.mark.parametrize("text", [" {}", "{}\n", "0_{}", "+{}", "\u0660{}"])
@pytest.mark.parametrize("field", ["p", "q"])
def test_a_number_that_no_venue_writes_is_unreadable(published, field, text):
    """Python alone reads it as the same."""
    line = first(published, b'"stream":"trade.SOL_USDC"')
    line["data"][field] = text.format(line["data"][field])
    assert found_kinds(published, [line]) == {Kind.UNREADABLE}


def test_levels_of_one_update_in_another_order_are_altered(published):
    """They go out as the engine changed them."""
    line = first(published, b'"stream":"depth.', lambda line: len(line["data"]["b"]) > 1)
    line["data"]["b"].reverse()
    assert found_kinds(published, [line]) == {Kind.ALTERED}


def test_a_level_twice_in_a_frame_is_unreadable(published):
    """The first one, a lie, would be overwritten by the second."""
    line = first(published, b'"stream":"depth.', lambda line: line["data"]["b"])
    price, _ = line["data"]["b"][0]
    line["data"]["b"].insert(0, [price, "1"])
    assert found_kinds(published, [line]) == {Kind.UNREADABLE}


def test_two_updates_in_a_frame_of_the_plain_stream_are_altered(published):
    """Only windows put several into one."""
    lines = [json.loads(f) for f in published.frames if b'"stream":"depth.SOL_USDC"' in f]
    one, two = next(
        (a["data"], b["data"])
        for a, b in pairwise(lines)
        if not {p for p, _ in a["data"]["a"] + a["data"]["b"]}
        & {p for p, _ in b["data"]["a"] + b["data"]["b"]}
    )
    merged = one | {"u": two["u"], "a": one["a"] + two["a"], "b": one["b"] + two["b"]}
    line = {"data": merged, "stream": "depth.SOL_USDC"}
    assert found_kinds(published, [line]) == {Kind.ALTERED}
    assert found_kinds(published, [line | {"stream": "depth.200ms.SOL_USDC"}]) == set()


def test_a_top_told_where_it_did_not_change_is_invented(published):
    """Price and size are right, but the venue never said so."""
    tops = [json.loads(f) for f in published.frames if b'"stream":"bookTicker.SOL_USDC"' in f]
    one, next_id = next(
        (a, a["data"]["u"] + 1) for a, b in pairwise(tops) if b["data"]["u"] > a["data"]["u"] + 1
    )
    again = {"data": one["data"] | {"u": next_id}, "stream": one["stream"]}
    assert found_kinds(published, [one, again]) == {Kind.INVENTED}


def test_findings_are_told_in_plain_words(published):
    """One is one, a key that is missing is called so, and nothing is empty between colons."""
    line = first(published, b'"stream":"trade.SOL_USDC"')
    del line["data"]["p"]
    (told,) = words(published, line)
    assert told.startswith("x:1: unreadable: `p` is missing in {")
    book = next(json.loads(line) for line in feed_tape(published) if b"l2_book" in line)
    price, _ = book["asks"][0]
    book["asks"][0][1] = "9999"
    (told,) = words(published, book)
    assert f": 1 wrong ask level, the first at {price}: 9999, the venue had " in told
    depths = [json.loads(f) for f in published.frames if b'"stream":"depth.SOL_USDC"' in f]
    (told,) = words(published, depths[0], depths[2])
    assert told.endswith(f": depth.SOL_USDC: update {depths[1]['data']['u']} never came")
