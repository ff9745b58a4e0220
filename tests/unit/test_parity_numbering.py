"""One feed alone neither begins a new numbering nor moves the top: ids that it repeats or makes up."""

from contextlib import asynccontextmanager
from decimal import Decimal

import pytest

from backpack_feed.process.parity import CCXT, NATIVE, Parity, SeenTrade
from backpack_feed.process.parity.raw import RawMarket
from backpack_feed.process.parity.referee import Referee
from backpack_feed.process.parity.trades import START_SECONDS
from backpack_feed.wire.messages import TradeMessage
from tests.support.conditions import eventually
from tests.unit.test_parity_referee import running

D = Decimal
S, VENUE_SYMBOL = "SOL-USDC", "SOL_USDC"
LATENESS = 30.0
EPOCH = 1_000.0
PAGE = 1_000


def seen(at, price="98.4", venue=None):
    """A trade that happened when it was told, or at `venue` seconds after the epoch."""
    happened = EPOCH + (at if venue is None else venue)
    return SeenTrade("buy", D(price), D(1), at, happened, 0.0)


@pytest.fixture
def parity():
    """Parity with the usual bounds, in which the venue's patience does not end by itself."""
    return Parity(settle_seconds=1e9, clock=lambda: 0.0)


def tell(parity, trade_id, at, *variants):
    """One trade of some feeds, both unless told otherwise; then what is late is looked for."""
    for variant in variants or (CCXT, NATIVE):
        parity.trade(variant, S, trade_id, seen(at))
    parity.expire(at)


def found(parity):
    return {finding: count for finding, count in parity.disagreements.items() if count}


class Rest:
    """A venue that lists every trade of a tape, id → when it happened."""

    def __init__(self, tape):
        self.asked = 0
        self.rows = [
            TradeMessage(
                symbol=VENUE_SYMBOL,
                trade_id=trade_id,
                price=D("98.4"),
                quantity=D(1),
                buyer_is_maker=False,
                engine_time_us=int((EPOCH + at) * 1e6),
            )
            for trade_id, at in tape.items()
        ]

    async def depth(self, symbol):
        """Nobody asks for a book here."""
        raise AssertionError(symbol)

    async def trades(self, symbol, limit=PAGE, *, fresh=False):
        """The newest ones, oldest first."""
        assert (symbol, fresh) == (VENUE_SYMBOL, True)
        self.asked += 1
        return self.rows[-limit:]

    async def trade_history(self, symbol, offset, limit=PAGE):
        """Those before the `offset` newest."""
        end = max(len(self.rows) - offset, 0)
        return self.rows[max(end - limit, 0) : end]


@asynccontextmanager
async def asked(parity, tape):
    """The venue is asked about everything that is open until nothing is."""
    async with running(Referee(parity, Rest(tape), {S: (VENUE_SYMBOL, RawMarket())})):
        yield
        await eventually(lambda: not parity.trade_disputes, 10, parity.summary)


# ---- repeats -------------------------------------------------------------------------------------


@pytest.mark.parametrize("bad", [NATIVE, CCXT])
async def test_a_feed_that_repeats_with_later_times_wipes_no_evidence(parity, bad):
    """It loses every tenth trade and repeats an old id in its place, as if that had just happened."""
    good = CCXT if bad == NATIVE else NATIVE
    for trade_id in range(1, 401):
        at = float(trade_id)
        if trade_id % 10:
            tell(parity, trade_id, at)
            continue
        tell(parity, trade_id, at, good)
        parity.trade(bad, S, trade_id - 5, seen(at + 0.5))
    parity.expire(500.0)
    async with asked(parity, {trade_id: float(trade_id) for trade_id in range(1, 401)}):
        pass
    assert found(parity) == {("missing", bad): 40, ("repeated", bad): 40}
    assert parity.trades.renumberings == 0


async def test_a_repeat_in_a_quiet_market_is_settled_by_the_venue(parity):
    """The other feed is silent, as nothing happens: the venue's list goes on with the old ids."""
    tape = {trade_id: float(trade_id) for trade_id in range(1, 11)}
    for trade_id in tape:
        tell(parity, trade_id, float(trade_id))
    parity.trade(NATIVE, S, 7, seen(20.0))
    parity.expire(20.0 + LATENESS)
    assert found(parity) == {}
    parity.expire(21.0 + LATENESS)
    async with asked(parity, tape):
        pass
    assert found(parity) == {("repeated", NATIVE): 1}
    assert parity.trades.renumberings == 0


def test_a_repeat_that_the_venue_says_nothing_about_is_nobodys_and_proves_nothing():
    """Neither a fault of the feed nor a reason to begin anew."""
    parity = Parity(settle_seconds=60, clock=lambda: 0.0)
    for trade_id in range(1, 11):
        tell(parity, trade_id, float(trade_id))
    for trade_id in (6, 7):
        parity.trade(NATIVE, S, trade_id, seen(20.0 + trade_id))
    parity.expire(60.0)
    parity.expire(130.0)
    assert found(parity) == {("repeated", "nobody"): 2}
    assert parity.unproven[S, "trade"] == 2
    assert parity.trades.renumberings == 0
    assert parity.pending == {"trade": 0, "book": 0, "dispute": 0}


def test_the_other_feeds_going_on_closes_what_the_venue_was_asked():
    """The answer is there, so nobody need give it."""
    parity = Parity(clock=lambda: 0.0)
    for trade_id in range(1, 11):
        tell(parity, trade_id, float(trade_id))
    parity.trade(NATIVE, S, 7, seen(20.0))
    parity.expire(51.0)
    assert len(parity.trade_disputes) == 1
    tell(parity, 11, 52.0)
    parity.expire(53.0)
    assert found(parity) == {("repeated", NATIVE): 1}
    assert not parity.trade_disputes


def test_a_true_trade_with_a_wrong_time_is_no_repeat(parity):
    """A late fill that is stamped with now: the other feed's trade waits for it."""
    for trade_id in range(1, 11):
        tell(parity, trade_id, float(trade_id), *([CCXT] if trade_id == 9 else []))
    parity.trade(NATIVE, S, 9, seen(11.0))
    parity.expire(100.0)
    assert found(parity) == {}
    assert parity.agreed["trade"] == 10


def test_no_flood_of_old_ids_fills_the_memory():
    """What does not fit proves nothing, and is counted so."""
    parity = Parity(max_pending=10, clock=lambda: 0.0)
    for trade_id in range(1, 101):
        tell(parity, trade_id, float(trade_id))
    for turn in range(50):
        parity.trade(NATIVE, S, 1 + turn, seen(101.0, venue=101.0 + turn))
    assert parity.pending["trade"] == 10
    assert parity.unproven[S, "trade"] == 40


# ---- new numberings ------------------------------------------------------------------------------


def test_both_feeds_begin_a_new_numbering_and_nothing_is_lost(parity):
    """One is ahead by twenty seconds; what it told meanwhile is compared."""
    for trade_id in range(101, 111):
        tell(parity, trade_id, float(trade_id - 100))
    for trade_id in range(1, 21):
        tell(parity, trade_id, 20.0 + trade_id, NATIVE)
    for trade_id in range(1, 21):
        parity.trade(CCXT, S, trade_id, seen(41.0, venue=20.0 + trade_id))
    parity.expire(100.0)
    assert parity.trades.renumberings == 1
    assert parity.agreed["trade"] == 30
    assert found(parity) == {}
    assert not parity.trade_disputes


def test_what_waits_when_the_numbering_begins_anew_proves_nothing(parity):
    """The venue cannot be asked about the old ids any more."""
    for trade_id in range(101, 111):
        tell(parity, trade_id, float(trade_id - 100), *([CCXT] if trade_id > 107 else []))
    for trade_id in (1, 2):
        tell(parity, trade_id, 20.0 + trade_id)
    assert found(parity) == {("missing", "nobody"): 3}
    assert parity.unproven[S, "trade"] == 3
    assert parity.compared["trade"] == 12


async def test_a_new_numbering_that_only_one_feed_hears_is_the_venues_to_confirm(parity):
    """The other one is dead, and found out in the new numbering."""
    for trade_id in range(101, 111):
        tell(parity, trade_id, float(trade_id - 100))
    tape = {trade_id: 20.0 + trade_id for trade_id in range(1, 200)}
    for trade_id, at in tape.items():
        tell(parity, trade_id, at, CCXT)
        if trade_id == 40:
            async with asked(parity, {i: told for i, told in tape.items() if i <= 40}):
                pass
            assert parity.trades.renumberings == 1
    parity.expire(300.0)
    async with asked(parity, tape):
        pass
    assert set(found(parity)) == {("missing", NATIVE)}
    assert parity.trades.renumberings == 1


# ---- ids that one feed makes up ------------------------------------------------------------------


@pytest.mark.parametrize("bad", [NATIVE, CCXT])
@pytest.mark.parametrize("invented", [105, 5_000, 10**12])
async def test_a_feed_that_makes_up_an_id_is_blamed_and_hides_nothing(parity, bad, invented):
    """Three trades are lost for good; the made-up id neither hides them nor moves the top."""
    good = CCXT if bad == NATIVE else NATIVE
    for trade_id in range(1, 101):
        tell(parity, trade_id, float(trade_id), *([good] if trade_id in (96, 97, 98) else []))
    parity.trade(bad, S, invented, seen(100.5, price="7"))
    for trade_id in range(101, 200):
        if trade_id == invented:
            tell(parity, trade_id, float(trade_id), good)
        else:
            tell(parity, trade_id, float(trade_id))
    async with asked(parity, {trade_id: float(trade_id) for trade_id in range(1, 200)}):
        pass
    wrong = "altered" if invented < 200 else "extra"
    assert found(parity) == {("missing", bad): 3, (wrong, bad): 1}
    assert parity.trades.renumberings == 0
    assert parity.compared["trade"] == 199 + (invented >= 200)


async def test_an_id_that_has_not_happened_yet_for_the_venues_list_convicts_nobody(parity):
    """Until the list has later trades, it may only be behind."""
    for trade_id in range(1, 101):
        tell(parity, trade_id, float(trade_id))
    tell(parity, 101, 103.0, NATIVE)
    parity.expire(150.0)
    behind = Rest({trade_id: float(trade_id) for trade_id in range(1, 101)})
    async with running(Referee(parity, behind, {S: (VENUE_SYMBOL, RawMarket())})):
        await eventually(lambda: behind.asked >= 2, 10)
        assert found(parity) == {}
        behind.rows = Rest({i: float(i) for i in range(1, 101)} | {101: 103.0}).rows
        await eventually(lambda: not parity.trade_disputes, 10)
    assert found(parity) == {("missing", CCXT): 1}


async def test_a_made_up_id_of_a_dead_feed_does_not_put_the_start_off(parity):
    """Without a common id the comparison begins after a minute, at what really happened."""
    parity.trade(NATIVE, S, 10**9, seen(0.0))
    for trade_id in range(1, 200):
        tell(parity, trade_id, float(trade_id), CCXT)
    parity.expire(300.0)
    async with asked(parity, {trade_id: float(trade_id) for trade_id in range(1, 200)}):
        pass
    assert set(found(parity)) == {("missing", NATIVE)}
    assert found(parity)["missing", NATIVE] >= 199 - START_SECONDS - 5


async def test_what_a_lone_feed_skipped_is_due_once_the_venue_lists_what_came_after(parity):
    """With ccxt dead and native losing a trade: one feed does not hide the holes of the other."""
    for trade_id in range(1, 11):
        tell(parity, trade_id, float(trade_id))
    tape = {trade_id: float(trade_id) for trade_id in range(1, 16)}
    for trade_id in (11, 12, 14, 15):
        tell(parity, trade_id, float(trade_id), NATIVE)
    parity.expire(100.0)
    async with asked(parity, tape):
        pass
    parity.expire(101.0)
    async with asked(parity, tape):
        pass
    assert found(parity) == {("missing", CCXT): 5, ("missing", NATIVE): 1}


async def test_a_dead_feed_in_a_busy_market_is_blamed_although_the_venue_lists_so_many(parity):
    """At 200 trades a second what is late is six thousand trades back."""
    tell(parity, 1, 0.0)
    tape = {1: 0.0} | {2 + n: 1.0 + n / 200 for n in range(200 * 40)}
    for trade_id, at in tape.items():
        if trade_id > 1:
            parity.trade(CCXT, S, trade_id, seen(at))
        if trade_id % 200 == 0:
            parity.expire(at)
    async with asked(parity, tape):
        pass
    assert found(parity)["missing", NATIVE] >= 1_000
    assert {blamed for _, blamed in found(parity)} <= {NATIVE, "nobody"}
