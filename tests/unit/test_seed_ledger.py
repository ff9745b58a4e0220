"""What REST answers never undoes what the stream told, and what is gone is told once."""

from hypothesis import given
from hypothesis import strategies as st

from backpack_feed.native import seed_ledger
from backpack_feed.native.seed_ledger import SeedLedger


def take(ledger: SeedLedger, listed: set[str], begun: int) -> tuple[set[str], set[str]]:
    """Apply an answer and return (current, gone)."""
    seeds = ledger.seeds(listed, begun)
    for key in seeds.current:
        ledger.seeded(key, begun, held=True)
    for key in seeds.gone:
        ledger.seeded(key, begun, held=False)
    return set(seeds.current), set(seeds.gone)


def test_what_is_listed_no_more_is_gone_once():
    """Not again with every later answer, and only if there was something of it."""
    ledger = SeedLedger()
    ledger.told("flat", held=False)
    assert take(ledger, {"A", "B"}, ledger.begin()) == ({"A", "B"}, set())
    assert take(ledger, {"A"}, ledger.begin()) == ({"A"}, {"B"})
    assert take(ledger, {"A"}, ledger.begin()) == ({"A"}, set())


def test_what_the_stream_told_since_the_subscription_stands():
    """Listed or not."""
    ledger = SeedLedger()
    ledger.told("old", held=True, note="7")
    begun = ledger.begin()
    ledger.told("A", held=True)
    ledger.told("B", held=True)
    seeds = ledger.seeds({"A"}, begun)
    assert (seeds.current, dict(seeds.gone), seeds.superseded) == ([], {"old": "7"}, 1)


def test_the_answer_to_an_earlier_question_is_void():
    """Two quick reconnects leave two requests under way."""
    ledger = SeedLedger()
    first, second = ledger.begin(), ledger.begin()
    assert take(ledger, {"A"}, second) == ({"A"}, set())
    assert take(ledger, {"B"}, first) == (set(), set())


def test_the_memory_is_bounded(monkeypatch):
    """Whatever names the venue invents."""
    monkeypatch.setattr(seed_ledger, "REMEMBERED_KEYS", 3)
    ledger = SeedLedger()
    for number in range(10):
        ledger.told(str(number), held=True)
    assert take(ledger, set(), ledger.begin()) == (set(), {"7", "8", "9"})


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("stream"), st.sampled_from("ABC"), st.booleans()),
            st.tuples(st.just("rest"), st.sets(st.sampled_from("ABC")), st.none()),
        )
    )
)
def test_with_answers_at_once_what_is_told_is_what_is_held(steps):
    """Against a naive model: a REST answer without anything in between is the truth."""
    ledger, truth, told = SeedLedger(), {}, {}
    for kind, value, held in steps:
        if kind == "stream":
            ledger.told(value, held=held)
            truth[value] = told[value] = held
            continue
        current, gone = take(ledger, value, ledger.begin())
        told |= dict.fromkeys(current, True) | dict.fromkeys(gone, False)
        truth = dict.fromkeys("ABC", False) | dict.fromkeys(value, True)
        assert {k for k, v in told.items() if v} == {k for k, v in truth.items() if v}
