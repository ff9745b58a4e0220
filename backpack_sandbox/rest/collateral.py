"""The margin summary of an account, by the desk's own rule: USDC alone is collateral."""

from decimal import Decimal
from typing import Any

from backpack_sandbox.account.funds import Funds
from backpack_sandbox.account.margin import MAINTENANCE_MARGIN
from backpack_sandbox.account.portfolio import QUOTE, Portfolio
from backpack_sandbox.market.decimals import plain
from backpack_sandbox.streams.account_frames import EIGHT_DECIMALS


def collateral_body(portfolio: Portfolio, funds: Funds, initial_margin: Decimal) -> dict[str, Any]:
    """The body of `/capital/collateral`; its fields are documented, not recorded.

    Equity is all USDC with the open profit; what margin and spot orders bind of it is locked.
    """
    quote = portfolio.balance(QUOTE)
    total = quote.available + quote.locked
    profit = exposure = maintenance = Decimal(0)
    for position in portfolio.positions():
        mark = funds.mark(position.symbol, position.entry_price)
        notional = abs(position.quantity) * mark
        profit += position.unrealised(mark)
        exposure += notional
        maintenance += MAINTENANCE_MARGIN.margin(notional)
    equity, locked = total + profit, initial_margin + quote.locked
    row = {
        "assetMarkPrice": "1",
        "availableQuantity": plain(quote.available),
        "balanceNotional": plain(total),
        "collateralValue": plain(total),
        "collateralWeight": "1",
        "lendQuantity": "0",
        "openOrderQuantity": plain(quote.locked),
        "symbol": QUOTE,
        "totalQuantity": plain(total),
    }
    return {
        "assetsValue": plain(total),
        "borrowLiability": "0",
        "collateral": [row],
        "imf": _share(initial_margin, exposure),
        "liabilitiesValue": "0",
        "marginFraction": _share(equity, exposure) if exposure else None,
        "mmf": _share(maintenance, exposure),
        "netEquity": _rounded(equity),
        "netEquityAvailable": _rounded(max(equity - locked, Decimal(0))),
        "netEquityLocked": _rounded(locked),
        "netExposureFutures": _rounded(exposure),
        "pnlUnrealized": _rounded(profit),
        "unsettledEquity": _rounded(profit),
    }


def _share(part: Decimal, whole: Decimal) -> str:
    return _rounded(part / whole) if whole else "0"


def _rounded(value: Decimal) -> str:
    return plain(value.quantize(EIGHT_DECIMALS))
