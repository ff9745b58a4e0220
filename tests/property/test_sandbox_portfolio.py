"""The house account: whatever it trades, nothing appears and nothing is lost."""

from decimal import Decimal
from fractions import Fraction

from hypothesis import given, settings
from hypothesis import strategies as st

from backpack_sandbox.account.fees import fee
from backpack_sandbox.account.portfolio import FIRST_QUOTE, Portfolio
from backpack_sandbox.account.positions import PositionChange
from backpack_sandbox.market.book import Side
from backpack_sandbox.market.catalog import build_catalog
from backpack_sandbox.market.events import Fill, OrderEvent
from backpack_sandbox.market.exchange import Exchange

CATALOG = build_catalog()
PERP = CATALOG["SOL_USDC_PERP"]
FILLS = st.lists(
    st.tuples(st.sampled_from(Side), st.integers(9000, 11000), st.integers(1, 500), st.booleans()),
    min_size=1,
    max_size=30,
)


def fill_event(number: int, side: Side, fill: Fill) -> OrderEvent:
    notional = fill.price * fill.quantity
    return OrderEvent(
        PERP.symbol, "orderFill", "Filled", number, side, None, fill.quantity, fill.quantity,
        notional, fill,
    )  # fmt: skip


@given(FILLS)
def test_position_and_cash_equal_what_the_fills_add_up_to(fills):
    """Net quantity, and cash plus the open position at its entry, to 18 digits."""
    portfolio = Portfolio(CATALOG)
    net, cash, fees = Decimal(0), Decimal(0), Decimal(0)
    for number, (side, price, steps, is_maker) in enumerate(fills):
        fill = Fill(number, price, steps, is_maker=is_maker)
        portfolio.apply(fill_event(number, side, fill))
        signed = PERP.quantity_grid.value(steps) * (1 if side is Side.BID else -1)
        net += signed
        cash -= signed * PERP.price_grid.value(price)
        fees += fee(PERP, fill)
    position = next(portfolio.positions(), None)
    assert (position.quantity if position else 0) == net
    usdc = next(b for b in portfolio.balances() if b.asset == "USDC")
    held = position.quantity * position.entry_price if position else Decimal(0)
    assert abs(usdc.available - FIRST_QUOTE - (cash + held - fees)) < Decimal("1e-15")


@given(FILLS)
def test_a_position_opens_adjusts_and_closes_in_that_order(fills):
    """A fill that turns it round closes the old one and opens another with the next id."""
    portfolio = Portfolio(CATALOG)
    open_id, last_id = None, 0
    for number, (side, price, steps, is_maker) in enumerate(fills):
        event = fill_event(number, side, Fill(number, price, steps, is_maker=is_maker))
        for change in portfolio.apply(event):
            if not isinstance(change, PositionChange):
                continue
            position = change.position
            assert (change.kind == "positionOpened") == (open_id is None)
            assert (change.kind == "positionClosed") == (not position.quantity)
            if open_id is None:
                assert position.position_id > last_id
                last_id = position.position_id
            else:
                assert position.position_id == open_id
            open_id = position.position_id if position.quantity else None


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_locked_funds_are_exactly_those_of_the_open_spot_orders(seed):
    """Through placing, partial fills and cancels of every market."""
    exchange = Exchange(CATALOG, seed=seed, events_per_second=20, trades_per_second=6)
    portfolio = Portfolio(CATALOG)
    before = {b.asset: Fraction(b.available) for b in portfolio.balances()}
    for _, events in exchange.advance(20):
        for event in events:
            if isinstance(event, OrderEvent):
                portfolio.apply(event)
    locked = dict.fromkeys(before, Decimal(0))
    for engine in exchange.engines.values():
        market = engine.market
        for order in engine.house if market.market_type == "SPOT" else ():
            rest = market.quantity_grid.value(order.remaining)
            if order.side is Side.ASK:
                locked[market.base] += rest
            else:
                locked[market.quote] += rest * market.price_grid.value(order.price)
    assert {b.asset: b.locked for b in portfolio.balances()} == locked
    assert all(b.available > 0 for b in portfolio.balances())
