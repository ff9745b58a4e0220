"""The checker of tapes: a true tape is clean, and any one change to it is found and named."""

import json
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from backpack_sandbox.truth.checker import check_tape
from backpack_sandbox.truth.findings import FINDINGS_KEPT, Kind
from tests.support.true_tapes import (
    CATALOG,
    SYMBOLS,
    feed_tape,
    publishing,
    rest_book_line,
    wire_tape,
)

STEPS = 120
PROPERTY = settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    with publishing(tmp_path_factory.mktemp("truth"), STEPS) as found:
        yield found


@pytest.fixture(scope="module")
def tapes(published):
    """Both kinds of tape, each as a perfect client would have written it."""
    return {"feed": feed_tape(published), "wire": wire_tape(published)}


def check(published, lines, *, complete=True):
    return check_tape("tape", lines, CATALOG, published.ledger, complete=complete)


def kinds(findings):
    return {kind for kind, count in findings.counts.items() if count}


def is_sequenced(line):
    """A drop of any other line cannot be told: books are samples."""
    content = json.loads(line)
    return content.get("channel") == "trades" or (
        content.get("stream", "").startswith(("trade.", "depth.", "bookTicker."))
    )


def group(line):
    """What is ordered among itself."""
    content = json.loads(line)
    return content.get("stream") or (content.get("channel"), content["symbol"])


@pytest.mark.parametrize("kind", ["feed", "wire"])
def test_a_true_tape_is_clean_and_whole(published, tapes, kind):
    """Everything on it was compared."""
    findings = check(published, tapes[kind])
    assert findings.right, [str(finding) for finding in findings.first]
    assert findings.trades > 20
    assert findings.books > 100
    assert findings.ignored == 0


@PROPERTY
@given(data=st.data())
@pytest.mark.parametrize("kind", ["feed", "wire"])
def test_a_line_that_is_dropped_is_missing(published, tapes, kind, data):
    """But for the first of its stream, with which the tape begins."""
    lines = tapes[kind]
    firsts = {group(line): number for number, line in reversed(list(enumerate(lines)))}
    sequenced = [n for n, line in enumerate(lines) if is_sequenced(line)]
    # that there were more books only a later line can tell
    lasts = {group(lines[n]): n for n in sequenced if b'"stream":"trade.' not in lines[n]}
    lasts = {key: n for key, n in lasts.items() if isinstance(key, str)}
    choices = sorted(set(sequenced) - set(firsts.values()) - set(lasts.values()))
    position = data.draw(st.sampled_from(choices))
    findings = check(published, lines[:position] + lines[position + 1 :])
    assert kinds(findings) == {Kind.MISSING}
    assert findings.counts[Kind.MISSING] == 1
    assert names(lines[position], findings)


@PROPERTY
@given(data=st.data())
@pytest.mark.parametrize("kind", ["feed", "wire"])
def test_a_line_that_comes_again_is_repeated(published, tapes, kind, data):
    """At once or later."""
    lines = tapes[kind]
    choices = [n for n, line in enumerate(lines) if is_sequenced(line)]
    position = data.draw(st.sampled_from(choices))
    again = data.draw(st.integers(position + 1, len(lines)))
    findings = check(published, [*lines[:again], lines[position], *lines[again:]])
    assert kinds(findings) == {Kind.REPEATED}
    assert names(lines[position], findings)


@PROPERTY
@given(data=st.data())
@pytest.mark.parametrize("kind", ["feed", "wire"])
def test_two_lines_that_change_places_are_out_of_order(published, tapes, kind, data):
    """Neighbours of one stream, or far from each other."""
    lines = list(tapes[kind])
    streams: dict[object, list[int]] = {}
    for number, line in enumerate(lines):
        if is_sequenced(line) or b"l2_book" in line:
            streams.setdefault(group(line), []).append(number)
    stream = data.draw(st.sampled_from([s for s in streams.values() if len(s) > 1]))
    one, other = sorted(
        data.draw(st.lists(st.sampled_from(stream), min_size=2, max_size=2, unique=True))
    )
    lines[one], lines[other] = lines[other], lines[one]
    findings = check(published, lines)
    assert Kind.OUT_OF_ORDER in kinds(findings)
    assert any(f.symbol in SYMBOLS for f in findings.first if f.kind is Kind.OUT_OF_ORDER)


FEED_TRADE_FIELDS = ("side", "price", "amount", "timestamp")
WIRE_TRADE_FIELDS = ("m", "p", "q", "T", "a", "b")


@PROPERTY
@given(data=st.data())
@pytest.mark.parametrize("kind", ["feed", "wire"])
def test_a_trade_with_another_field_is_altered(published, tapes, kind, data):
    """Price, quantity, side and time."""
    lines = list(tapes[kind])
    marks = (b'"channel": "trades"', b'"stream":"trade.')
    choices = [n for n, line in enumerate(lines) if any(mark in line for mark in marks)]
    position = data.draw(st.sampled_from(choices))
    content = json.loads(lines[position])
    trade = content.get("data", content)
    fields = WIRE_TRADE_FIELDS if "data" in content else FEED_TRADE_FIELDS
    field = data.draw(st.sampled_from(fields))
    trade[field] = altered(trade[field])
    original, lines[position] = lines[position], json.dumps(content).encode()
    findings = check(published, lines)
    assert kinds(findings) == {Kind.ALTERED}
    assert names(original, findings)
    assert findings.first[0].where == f"tape:{position + 1}"


@PROPERTY
@given(data=st.data())
def test_a_depth_frame_with_another_level_is_altered_and_its_book_wrong(published, tapes, data):
    """Named at the id where it began, and not again after it."""
    lines = list(tapes["wire"])
    choices = [n for n, line in enumerate(lines) if b'"stream":"depth.' in line]
    position = data.draw(st.sampled_from(choices))
    content = json.loads(lines[position])
    levels = content["data"]["a"] or content["data"]["b"]
    level = data.draw(st.sampled_from(levels))
    which = data.draw(st.integers(0, 1))
    level[which] = altered(level[which])
    original, lines[position] = lines[position], json.dumps(content).encode()
    findings = check(published, lines)
    assert Kind.ALTERED in kinds(findings) <= {Kind.ALTERED, Kind.WRONG_LEVELS}
    assert {finding.where for finding in findings.first} == {f"tape:{position + 1}"}
    assert names(original, findings)


@PROPERTY
@given(data=st.data())
@pytest.mark.parametrize("kind", ["feed", "wire"])
def test_a_book_with_a_wrong_level_is_found(published, tapes, kind, data):
    """A level lost, another size, another price; in a taped book, a REST book and a top."""
    lines = list(tapes[kind])
    marks = (b"l2_book", b'"depth": {', b'"stream":"bookTicker.')
    choices = [n for n, line in enumerate(lines) if any(mark in line for mark in marks)]
    position = data.draw(st.sampled_from(choices))
    content = json.loads(lines[position])
    if "stream" in content:
        key = data.draw(st.sampled_from(["a", "A", "b", "B"]))
        content["data"][key] = altered(content["data"][key])
    else:
        book = content.get("depth", content)
        levels = book[data.draw(st.sampled_from(["bids", "asks"]))]
        number = data.draw(st.integers(0, len(levels) - 1))
        part = data.draw(st.sampled_from(["drop", 0, 1]))
        if part == "drop":
            del levels[number]
        else:
            levels[number][part] = altered(levels[number][part])
    lines[position] = json.dumps(content).encode()
    findings = check(published, lines)
    assert Kind.WRONG_LEVELS in kinds(findings)
    assert findings.first[0].where == f"tape:{position + 1}"


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        (b"nonsense", Kind.UNREADABLE),
        (b"[]", Kind.UNREADABLE),
        (b'{"channel": "trades"}', Kind.UNREADABLE),
        (b'{"data":{"e":"depth"},"stream":"depth.SOL_USDC"}', Kind.UNREADABLE),
        (b'{"hello": 1}', Kind.UNREADABLE),
    ],
)
def test_a_line_that_is_none_is_unreadable_with_its_place(published, line, kind):
    """And the rest is compared all the same."""
    findings = check(published, [*wire_tape(published), b"", line])
    assert kinds(findings) == {kind}
    assert findings.first[0].where == f"tape:{len(published.frames) + 4}"


def test_what_the_venue_never_published_is_invented(published, tapes):
    """An id from the future, a market that it does not have, a range of updates without end."""
    trade = next(line for line in tapes["wire"] if b'"trade.SOL_USDC"' in line)
    depth = next(line for line in tapes["wire"] if b'"depth.SOL_USDC"' in line)
    future, elsewhere, endless = json.loads(trade), json.loads(trade), json.loads(depth)
    future["data"]["t"] = 10**15
    elsewhere["data"]["s"], elsewhere["stream"] = "NOPE_USDC", "trade.NOPE_USDC"
    endless["data"] |= {"U": 1, "u": 10**15}
    lines = [json.dumps(line).encode() for line in (future, elsewhere, endless)]
    findings = check(published, [*tapes["wire"], *lines])
    assert kinds(findings) == {Kind.INVENTED}
    assert findings.counts[Kind.INVENTED] == 3


def test_a_tape_may_end_early_unless_it_should_be_complete(published, tapes):
    """A feed of a market that moves is always behind."""
    lines = [line for line in tapes["feed"] if b"trades" in line]
    assert check(published, lines[:-4], complete=False).right
    assert check(published, lines[:-4]).counts[Kind.MISSING] == 4


def test_replay_begins_at_a_snapshot_in_the_middle(published):
    """Frames from before it change nothing, and each id after it is compared."""
    symbol = SYMBOLS[0]
    oldest, newest = published.ledger.books.span(symbol)
    middle = (oldest + newest) // 2
    frames = [f for f in published.frames if f.endswith(f'"depth.{symbol}"}}'.encode())]
    findings = check(published, [rest_book_line(published, symbol, middle), *frames])
    assert findings.right, findings.first
    assert findings.books == 1 + newest - middle


def test_the_list_of_findings_is_bounded_and_the_counts_are_not(published):
    """A tape of nothing but nonsense."""
    findings = check(published, [b"x"] * 1000)
    assert findings.counts[Kind.UNREADABLE] == 1000
    assert len(findings.first) == FINDINGS_KEPT
    assert len(findings.body()["findings"]) == FINDINGS_KEPT


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(["NaN", "sNaN", "1"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner),
    max_leaves=5,
)


@PROPERTY
@given(data=st.data())
@pytest.mark.parametrize("kind", ["feed", "wire"])
def test_no_line_breaks_the_checker(published, tapes, kind, data):
    """Any value in the place of any field is a finding, or is passed over; the rest is compared."""
    lines = tapes[kind]
    content = json.loads(lines[data.draw(st.integers(0, len(lines) - 1))])
    place = content.get("data", content.get("depth", content))
    place = data.draw(st.sampled_from([content, place]))
    place[data.draw(st.sampled_from(sorted(place)))] = data.draw(JSON)
    whole = check(published, lines)
    found = check(published, [*lines, json.dumps(content).encode()])
    assert found.trades >= whole.trades
    assert found.books >= whole.books


def altered(value):
    """Another value of the same kind."""
    if isinstance(value, bool):
        return not value
    if value in {"buy", "sell"}:
        return "sell" if value == "buy" else "buy"
    if isinstance(value, str):
        return str(Decimal(value) * 3 + 1)
    return value + 1


def names(line, findings):
    """A finding is about the id of this line."""
    content = json.loads(line)
    data = content.get("data", content)
    number = int(data.get("u") or data.get("t") or data.get("id"))
    symbol = data.get("s") or data["symbol"].replace("-", "_")
    return any((f.symbol, f.number) == (symbol, number) for f in findings.first)
