"""Perpetuals pay each other every full hour, once, and a restart forgets none of it."""

from decimal import Decimal

import pytest

from backpack_sandbox.account.funding import read_funding
from backpack_sandbox.constants import HOUSE, TRADER
from backpack_sandbox.market.book import Side
from backpack_sandbox.streams.account_frames import position_body
from backpack_sandbox.truth.recovery import recover
from tests.support.trading_floor import CATALOG, PERP, START, TradingFloor, market

HOUR = 3_600
NEXT_HOUR = (START // HOUR + 1) * HOUR
TELLING = ("account.balanceUpdate", "account.orderUpdate", "account.positionUpdate")


def over_the_hour(floor: TradingFloor) -> None:
    for _ in range(3):
        floor.advance(1)


@pytest.mark.parametrize(("side", "sign"), [(Side.BID, 1), (Side.ASK, -1)])
def test_a_position_pays_the_rate_of_the_hour_on_its_notional(tmp_path, side, sign):
    """Longs pay a positive rate, shorts get it: in USDC, in the position and in the history."""
    floor = TradingFloor(tmp_path, now=NEXT_HOUR - 1.5)
    floor.advance(1)
    floor.desk.place(PERP, market(side, 1000))
    before = floor.balance(TRADER, "USDC")[0]
    realised = floor.accounts[TRADER].position(PERP).realised
    over_the_hour(floor)
    (payment,) = floor.accounts.history.fundings(TRADER)
    assert payment.interval_end_us == NEXT_HOUR * 1_000_000
    assert payment.quantity == sign * 10
    assert payment.rate != 0
    owed = payment.quantity * payment.mark_price * payment.rate
    assert abs(payment.amount + owed) < Decimal("1e-8")
    assert floor.balance(TRADER, "USDC")[0] == before + payment.amount
    position = floor.accounts[TRADER].position(PERP)
    assert (position.funding, position.realised) == (payment.amount, realised + payment.amount)
    body = position_body(position, payment.mark_price)
    assert Decimal(body["cumulativeFundingPayment"]) == payment.amount
    told = floor.frames(TRADER, "account.balanceUpdate")[-1]
    assert (told["a"], Decimal(told["A"])) == ("USDC", before + payment.amount)
    floor.close()


def test_a_restart_knows_the_payments_and_does_not_repeat_them(tmp_path):
    """Both accounts; the venue starts again in the hour that is paid already."""
    floor = TradingFloor(tmp_path, now=NEXT_HOUR - 20)
    floor.advance(18.5)
    floor.desk.place(PERP, market(Side.BID, 1000))
    over_the_hour(floor)
    paid = {name: floor.accounts.history.fundings(name) for name in (HOUSE, TRADER)}
    balance, position = floor.balance(TRADER, "USDC"), floor.accounts[TRADER].position(PERP)
    assert paid[TRADER]
    assert paid[HOUSE]
    floor.close()
    again = TradingFloor(tmp_path, now=floor.now)
    over_the_hour(again)
    assert {name: again.accounts.history.fundings(name) for name in (HOUSE, TRADER)} == paid
    assert again.balance(TRADER, "USDC") == balance
    assert again.accounts[TRADER].position(PERP) == position
    again.close()
    assert recover(again.path, CATALOG).accounts.history.fundings(TRADER) == paid[TRADER]


def test_no_socket_hears_of_the_ledgers_own_note(tmp_path):
    """Only the balance that it changed is told."""
    floor = TradingFloor(tmp_path, now=NEXT_HOUR - 1.5)
    floor.advance(1)
    floor.desk.place(PERP, market(Side.BID, 1000))
    over_the_hour(floor)
    assert b'"stream":"sandbox.fundingPayment"' in floor.path.read_bytes()
    private = {key.partition("\0")[2] for key in floor.fanout.frames if "\0" in key}
    assert {".".join(name.split(".")[:2]) for name in private} <= set(TELLING)
    floor.close()


@pytest.mark.parametrize(
    "broken", [{}, {"s": PERP, "q": "x", "f": "0", "M": "1", "n": "0", "w": 1}]
)
def test_a_line_that_is_no_payment_is_refused(broken):
    """By an error that the reader of a ledger knows."""
    with pytest.raises((KeyError, ArithmeticError)):
        read_funding(broken)
