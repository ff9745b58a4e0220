"""The frames of `account.balanceUpdate` and `account.positionUpdate`."""

from decimal import Decimal
from typing import Any, Final

import msgspec

from backpack_sandbox.account.margin import INITIAL_MARGIN, MAINTENANCE_MARGIN, MarginFunction
from backpack_sandbox.account.portfolio import Balance
from backpack_sandbox.account.positions import Position
from backpack_sandbox.constants import BALANCE_UPDATE
from backpack_sandbox.market.decimals import plain

EIGHT_DECIMALS: Final = Decimal("0.00000001")


def balance_frame(balance: Balance, event_us: int, engine_us: int) -> bytes:
    """Absolute amounts: available, locked, staked."""
    data = {
        "A": plain(balance.available),
        "E": event_us,
        "L": plain(balance.locked),
        "S": "0",
        "T": engine_us,
        "a": balance.asset,
        "e": "balanceUpdate",
    }
    return _frame(BALANCE_UPDATE, data)


def position_frame(
    stream: str, position: Position, mark: Decimal, *, kind: str, event_us: int, engine_us: int
) -> bytes:
    """One position at the `mark` price; without a `kind` it is the frame of the first sight."""
    event = {"e": kind} if kind else {}
    data = position_figures(position, mark) | event | {"E": event_us, "T": engine_us}
    return _frame(stream, data)


def position_figures(position: Position, mark: Decimal) -> dict[str, Any]:
    """The figures of one position, as the stream names them.

    `B` is the entry and `b` the break-even, `M` the mark, `q` net and signed, `Q` the exposure and
    `n` its notional, `f` and `m` the margin fractions, `p` and `P` realised and unrealised profit.
    """
    notional = abs(position.quantity) * mark
    return {
        "B": _rounded(position.entry_price),
        "M": plain(mark),
        "P": _rounded(position.unrealised(mark)),
        "Q": plain(abs(position.quantity)),
        "b": _rounded(position.break_even_price),
        "f": _margin(INITIAL_MARGIN, notional),
        "i": position.position_id,
        "l": "0",
        "m": _margin(MAINTENANCE_MARGIN, notional),
        "n": plain(notional),
        "p": _rounded(position.realised),
        "q": plain(position.quantity),
        "s": position.symbol,
    }


def position_body(position: Position, mark: Decimal) -> dict[str, Any]:
    """One row of `/position`; nobody is liquidated here."""
    figures = position_figures(position, mark)
    return {
        "breakEvenPrice": figures["b"],
        "cumulativeFundingPayment": _rounded(position.funding),
        "cumulativeInterest": "0",
        "entryPrice": figures["B"],
        "estLiquidationPrice": "0",
        "imf": figures["f"],
        "imfFunction": INITIAL_MARGIN.body(),
        "markPrice": figures["M"],
        "mmf": figures["m"],
        "mmfFunction": MAINTENANCE_MARGIN.body(),
        "netCost": _rounded(position.entry_price * position.quantity),
        "netExposureNotional": figures["n"],
        "netExposureQuantity": figures["Q"],
        "netQuantity": figures["q"],
        "pnlRealized": figures["p"],
        "pnlUnrealized": figures["P"],
        "positionId": str(position.position_id),
        "subaccountId": 0,
        "symbol": position.symbol,
        "userId": 101,
    }


def _margin(function: MarginFunction, notional: Decimal) -> str:
    return _rounded(function.fraction(notional))


def _rounded(value: Decimal) -> str:
    return plain(value.quantize(EIGHT_DECIMALS))


def _frame(stream: str, data: dict[str, Any]) -> bytes:
    return msgspec.json.encode({"data": data, "stream": stream}, order="sorted")
