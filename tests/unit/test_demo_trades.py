"""The report's trade count can find what it is there to find."""

from decimal import Decimal

import pytest

from tools.demo.trades import TradeFacts, account

FACTS = TradeFacts(Decimal("98.97"), Decimal(1), "buy")
PUBLISHED = {("SOL-USDC", trade_id): FACTS for trade_id in range(100, 110)}


def tape(*ids):
    return [(("SOL-USDC", trade_id), FACTS) for trade_id in ids]


def test_equal_tapes_are_exact():
    """Every published trade once is exact, whatever the order."""
    result = account(PUBLISHED, tape(*reversed(range(100, 110))))
    assert result.exact
    assert result.published == result.taped == 10


def test_trades_before_the_first_taped_one_are_not_missing():
    """Nobody listened before the first taped trade of a market."""
    result = account(PUBLISHED, tape(*range(104, 110)))
    assert result.exact
    assert result.published == 6


@pytest.mark.parametrize(
    ("taped", "field", "keys"),
    [
        (tape(100, 101, *range(103, 110)), "missing", [("SOL-USDC", 102)]),
        (tape(*range(100, 109)), "missing", [("SOL-USDC", 109)]),
        (tape(*range(100, 110), 105), "duplicated", [("SOL-USDC", 105)]),
        (tape(*range(100, 111)), "invented", [("SOL-USDC", 110)]),
        (
            [
                *tape(*range(101, 110)),
                (("SOL-USDC", 100), TradeFacts(Decimal(1), Decimal(1), "buy")),
            ],
            "altered",
            [("SOL-USDC", 100)],
        ),
    ],
)
def test_each_kind_of_difference_is_found(taped, field, keys):
    """A hole, a lost tail, a repeat, an unknown id and another price are told apart."""
    result = account(PUBLISHED, taped)
    assert list(getattr(result, field)) == keys
    assert not result.exact


def test_a_market_without_a_tape_is_missing_as_a_whole():
    """A market that no instance ever taped does not pass unnoticed."""
    assert len(account(PUBLISHED, []).missing) == 10
