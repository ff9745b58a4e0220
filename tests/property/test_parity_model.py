"""The matcher against set arithmetic."""

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from backpack_feed.process.parity import CCXT, NATIVE, Parity, SeenTrade

IDS = st.sets(st.integers(min_value=1, max_value=40), max_size=40)


@given(ccxt=IDS, native=IDS, order=st.randoms(use_true_random=False))
def test_matched_and_missing_are_what_the_sets_say(ccxt, native, order):
    """Whatever the interleaving: from the first common id on, both sides are accounted for."""
    parity = Parity(lateness_seconds=1)
    queues = {CCXT: sorted(ccxt), NATIVE: sorted(native)}
    while any(queues.values()):
        variant = order.choice([v for v, queue in queues.items() if queue])
        seen = SeenTrade("buy", Decimal(1), Decimal(1), 0.0)
        parity.trade(variant, "A", queues[variant].pop(0), seen)
    parity.expire(10.0)

    common = ccxt & native
    start = min(common, default=None)
    assert parity.trades_matched == len(common)
    for variant, mine, other in ((CCXT, ccxt, native), (NATIVE, native, ccxt)):
        absent = {i for i in other - mine if start is not None and i > start}
        assert parity.trades_missing[variant] == len(absent)
