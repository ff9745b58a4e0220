"""A portfolio alone: whatever it trades, nothing appears and nothing is lost."""

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from backpack_sandbox.account.accounts import ENDOWMENTS
from backpack_sandbox.account.fees import fee
from backpack_sandbox.account.portfolio import Portfolio
from backpack_sandbox.account.positions import PositionChange
from backpack_sandbox.constants import TRADER
from backpack_sandbox.market.book import Side
from backpack_sandbox.market.catalog import build_catalog
from backpack_sandbox.market.events import Fill, OrderEvent
from backpack_sandbox.market.orders import Order, OrderRequest, OrderStatus

CATALOG = build_catalog()
PERP = CATALOG["SOL_USDC_PERP"]
FIRST_QUOTE = ENDOWMENTS[TRADER].quote
FILLS = st.lists(
    st.tuples(st.sampled_from(Side), st.integers(9000, 11000), st.integers(1, 500), st.booleans()),
    min_size=1,
    max_size=30,
)


def new_portfolio() -> Portfolio:
    return Portfolio(CATALOG, ENDOWMENTS[TRADER])


def fill_event(number: int, side: Side, fill: Fill) -> OrderEvent:
    request = OrderRequest(account=TRADER, side=side, price=None, quantity=fill.quantity)
    notional = fill.price * fill.quantity
    order = Order(PERP.symbol, number, request, fill.quantity, notional, OrderStatus.FILLED)
    return OrderEvent("orderFill", order, fill)


@given(FILLS)
def test_position_and_cash_equal_what_the_fills_add_up_to(fills):
    """Net quantity, and cash plus the open position at its entry, to eight decimals a fill.

    A balance never shows more than those: an average entry may have any number of them.
    """
    portfolio = new_portfolio()
    net, cash, fees = Decimal(0), Decimal(0), Decimal(0)
    for number, (side, price, steps, is_maker) in enumerate(fills):
        fill = Fill(number, price, steps, is_maker=is_maker)
        portfolio.apply(fill_event(number, side, fill))
        signed = PERP.quantity_grid.value(steps) * (1 if side is Side.BID else -1)
        net += signed
        cash -= signed * PERP.price_grid.value(price)
        fees += fee(PERP, side, fill).amount
    position = portfolio.position(PERP.symbol)
    assert (position.quantity if position else 0) == net
    held = position.quantity * position.entry_price if position else Decimal(0)
    change = portfolio.balance("USDC").available - FIRST_QUOTE
    assert abs(change - (cash + held - fees)) <= len(fills) * Decimal("1e-8")
    assert change == change.quantize(Decimal("1e-8"))


@given(FILLS)
def test_a_position_opens_adjusts_and_closes_in_that_order(fills):
    """A fill that turns it round closes the old one and opens another with the next id."""
    portfolio = new_portfolio()
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


@given(FILLS, st.data())
def test_a_portfolio_restored_half_way_ends_where_the_other_does(fills, data):
    """Its state is all that it remembers."""
    half = data.draw(st.integers(0, len(fills)))
    whole, restored = new_portfolio(), new_portfolio()
    for number, (side, price, steps, is_maker) in enumerate(fills):
        if number == half:
            restored.restore(whole.state())
        event = fill_event(number, side, Fill(number, price, steps, is_maker=is_maker))
        whole.apply(event)
        if number >= half:
            restored.apply(event)
    if half < len(fills):
        assert restored.state() == whole.state()
