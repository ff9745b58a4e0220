"""Parity against an oracle that knows what happened to every trade and every level."""

from collections import Counter
from dataclasses import dataclass, replace
from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st

from backpack_feed.process.parity import CCXT, NATIVE, Parity, SeenTrade
from backpack_feed.process.parity.books import Change
from backpack_feed.process.parity.raw import RawBook, top_of
from backpack_feed.process.parity.verdicts import judge_book, judge_trade
from backpack_feed.wire.messages import DepthMessage, DepthSnapshot

D = Decimal
S = "SOL-USDC"
LATENESS = 10.0
FEEDS = (NATIVE, CCXT)
PRICE = {"true": D(100), NATIVE: D(101), CCXT: D(102), "rest": D(103)}

STATUS = st.sampled_from(["ok"] * 6 + ["drop", "alter", "repeat"])
DELAY = st.sampled_from([0.0] * 8 + [1.5, 9.5, 30.0])
VENUE = st.sampled_from(["lists"] * 12 + ["hole", "contradicts", "unlists"])


def said_of(name):
    return SeenTrade("buy", PRICE[name], D(1))


@dataclass(frozen=True)
class Step:
    """What becomes of one trade: at the venue, and per feed (status, delay in seconds)."""

    venue: str
    heard: bool
    feeds: dict


STEPS = st.lists(
    st.builds(
        Step,
        venue=VENUE,
        heard=st.booleans(),
        feeds=st.fixed_dictionaries({v: st.tuples(STATUS, DELAY) for v in FEEDS}),
    ),
    max_size=30,
)
WELL = Step("lists", heard=True, feeds=dict.fromkeys(FEEDS, ("ok", 0.0)))


def delivered(step, variant):
    """What a feed says of a trade that it was told of, or makes up where there is none."""
    status = step.feeds[variant][0]
    if status == "drop" or (step.venue == "hole" and status != "alter"):
        return None
    return said_of(variant if status == "alter" else "true")


def tape(steps, variant):
    """One feed's deliveries as (at, id, trade, how often); a late one holds back the later ones."""
    at = 0.0
    for trade_id, step in enumerate(steps, 1):
        at = max(at, trade_id + step.feeds[variant][1])
        trade = delivered(step, variant)
        if trade is not None:
            times = 2 if step.feeds[variant][0] == "repeat" else 1
            yield at, trade_id, replace(trade, at_seconds=at), times


def venue_says(step):
    """What REST lists and what the third listener heard."""
    listed = {"lists": said_of("true"), "contradicts": said_of("rest")}.get(step.venue)
    streamed = said_of("true") if step.heard and step.venue != "hole" else None
    return listed, streamed


def blame(step, in_time):
    """The oracle: what is wrong with one trade, from what was done to it."""
    said = {v: delivered(step, v) if in_time[v] else None for v in FEEDS}
    if said[NATIVE] == said[CCXT] and said[NATIVE] is not None:
        return []
    listed, streamed = venue_says(step)
    told = sum(trade is not None for trade in said.values())
    if streamed is not None and streamed != listed:
        return [(("hole", "missing", "altered")[told], "venue")]
    if told == 0 and listed is None:
        return [("hole", "venue")]
    found = []
    for variant, trade in said.items():
        if trade == listed:
            continue
        kind = "missing" if trade is None else "extra" if listed is None else "altered"
        found.append((kind, variant))
    return found


def in_time(arrived, trade_id):
    """Which feeds delivered this id within the bound of when the first of them did."""
    at = {v: arrived[v].get(trade_id) for v in FEEDS}
    named = [when for when in at.values() if when is not None]
    return {v: when is not None and when - min(named) <= LATENESS for v, when in at.items()}


def play(parity, steps):
    """Deliver both tapes in the order of time; return when each feed delivered each id."""
    arrived = {variant: {} for variant in FEEDS}
    events = [(at, i, v, trade, n) for v in FEEDS for at, i, trade, n in tape(steps, v)]
    for at, trade_id, variant, trade, times in sorted(events, key=lambda event: event[:3]):
        parity.expire(at)
        arrived[variant][trade_id] = at
        for _ in range(times):
            parity.trade(variant, S, trade_id, trade)
    parity.expire(1e6)
    return arrived


def oracle(steps, arrived):
    """Every finding with its count, and how many ids agree."""
    expected, agreed = Counter(), 0
    for trade_id, step in enumerate(steps, 1):
        found = blame(step, in_time(arrived, trade_id))
        expected.update(found)
        agreed += not found
        for variant in FEEDS:
            repeats = step.feeds[variant][0] == "repeat" and delivered(step, variant) is not None
            expected["repeated", variant] += repeats
    return {finding: count for finding, count in expected.items() if count}, agreed


@settings(max_examples=400, deadline=None)
@given(STEPS)
def test_every_trade_is_classified_and_blamed_as_the_oracle_says(middle):
    """Drops, alterations, repeats, lateness and inventions, on either side or both."""
    steps = [WELL, *middle, WELL]
    parity = Parity(lateness_seconds=LATENESS, settle_seconds=1e9, clock=lambda: 0.0)
    expected, agreed = oracle(steps, play(parity, steps))
    assert parity.trades.disagreed == len(parity.trade_disputes)
    while parity.trade_disputes:
        for dispute in list(parity.trade_disputes.values()):
            listed, streamed = venue_says(steps[dispute.trade_id - 1])
            parity.settle_trade(dispute, judge_trade(dispute, listed, streamed), listed)
        parity.expire(1e7)  # what the venue lists makes lower ids due that nobody named
    assert {k: n for k, n in parity.disagreements.items() if n} == expected
    assert parity.agreed["trade"] == agreed
    assert parity.compared["trade"] == sum((parity.proven + parity.unproven).values())
    assert parity.pending == {"trade": 0, "book": 0, "dispute": 0}


PRICES = [D(n) for n in range(1, 9)]
LEVELS = st.lists(
    st.tuples(st.sampled_from(PRICES), st.sampled_from([D(0), D(1), D(2)])), max_size=3
)
MOVES = st.lists(
    st.fixed_dictionaries(
        {
            "bids": LEVELS,
            "asks": LEVELS,
            "lost": st.sampled_from([None] * 8 + [NATIVE, CCXT, "both"]),
            "published": st.sampled_from([None, 0, 0, 1, 4]),
        }
    ),
    max_size=40,
)


class Ladder(dict):
    """price → level of one side."""

    def take(self, levels):
        """Apply absolute levels."""
        for price, amount in levels:
            if amount:
                self[price] = (price, amount)
            else:
                self.pop(price, None)


class Venue:
    """The true book, what each feed has of it, and every top of all three by sequence number."""

    def __init__(self, moves):
        self.raw = RawBook()
        self.raw.snapshot(DepthSnapshot(last_update_id=0, bids=[], asks=[]))
        self.tops = {}
        books = {who: (Ladder(), Ladder()) for who in ("true", *FEEDS)}
        for sequence, move in enumerate(moves, 1):
            self.raw.delta(_delta(sequence, move))
            for who, (bids, asks) in books.items():
                if who == "true" or move["lost"] not in (who, "both"):
                    bids.take(move["bids"])
                    asks.take(move["asks"])
            self.tops[sequence] = {w: top_of(b.values(), a.values()) for w, (b, a) in books.items()}

    def wrong(self, sequence):
        """Which feeds had another book than the venue at a number."""
        top = self.tops[sequence]
        return {("book", variant) for variant in FEEDS if top[variant] != top["true"]}


def publish(parity, venue, moves):
    """Let both feeds publish; return the numbers that can be compared: ccxt's in ascending order.

    Between two comparisons lies time enough for each difference to be disputed.
    """
    parity.native_book(S, Change(0, (), (), whole=True), 0.0)
    late, compared = {}, []
    for sequence, move in enumerate(moves, 1):
        now, behind = 100.0 * sequence, move["published"]
        if behind == 0:
            parity.ccxt_book(S, sequence, venue.tops[sequence][CCXT], now)
            compared.append(sequence)
        elif behind:
            late.setdefault(sequence + behind, []).append(sequence)
        kept = ("bids", "asks") if move["lost"] not in (NATIVE, "both") else ()
        sides = [tuple(move[side]) for side in kept] or [(), ()]
        parity.native_book(S, Change(sequence, *sides), now)
        for turn, old in enumerate(sorted(late.get(sequence, ())), 1):
            # more than the longest pause between two disputes of one market
            parity.ccxt_book(S, old, venue.tops[old][CCXT], now + 33.0 * turn)
            if not compared or old > compared[-1]:
                compared.append(old)
    return compared


@settings(max_examples=300, deadline=None)
@given(MOVES)
def test_every_book_is_compared_at_its_number_and_blamed_as_the_oracle_says(moves):
    """Lost deltas on either side, ccxt early, late or silent: each book against the truth."""
    parity = Parity(clock=lambda: 0.0)
    venue = Venue(moves)
    compared = publish(parity, venue, moves)
    tops = venue.tops
    alike = [n for n in compared if tops[n][NATIVE] == tops[n][CCXT]]
    assert parity.compared["book"] == len(compared)
    assert parity.agreed["book"] == len(alike)
    disputes = {d.sequence: d for d in parity.book_disputes.values()}
    assert sorted(disputes) == sorted(set(compared) - set(alike))
    for sequence, dispute in disputes.items():
        truth = venue.raw.at(sequence)
        assert truth == tops[sequence]["true"]
        assert set(judge_book(dispute, truth)) == venue.wrong(sequence)


def _delta(sequence, move):
    return DepthMessage(
        symbol=S,
        first_id=sequence,
        last_id=sequence,
        bids=move["bids"],
        asks=move["asks"],
        engine_time_us=sequence,
    )


@settings(max_examples=50, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(FEEDS),
            st.one_of(st.integers(1, 3_000), st.integers(1, 20), st.just(10**12)),
            st.integers(0, 40),
            st.integers(0, 300),
        ),
        max_size=200,
    )
)
def test_no_tape_fills_the_memory_and_nothing_vanishes(calls):
    """Any ids at any times: everything compared is agreed, open, settled or counted as unsettled."""
    parity = Parity(lateness_seconds=5, max_pending=20, max_disputes=15, clock=lambda: 0.0)
    for now, (variant, trade_id, price, venue) in enumerate(calls):
        seen = SeenTrade("buy", D(price), D(1), float(now), float(venue))
        parity.trade(variant, S, trade_id, seen)
        parity.expire(float(now))
        assert parity.pending["trade"] <= 100
        assert parity.pending["dispute"] <= 15
        assert len(parity.samples) <= 20 * 28
    lost = sum(n for (kind, _), n in parity.findings.items() if kind != "repeated")
    trades = [d for d in parity.trade_disputes.values() if d.numbering is None]
    assert parity.trades.disagreed == len(trades) + lost
