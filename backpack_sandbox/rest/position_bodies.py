"""Rows of the position and settlement histories, as documented; none was recorded."""

from decimal import Decimal
from typing import Any

from backpack_sandbox.account.margin import INITIAL_MARGIN
from backpack_sandbox.market.decimals import plain
from backpack_sandbox.rest.order_bodies import naive_iso
from backpack_sandbox.rest.position_history import PastPosition, Settlement
from backpack_sandbox.streams.account_frames import EIGHT_DECIMALS


def position_row(past: PastPosition, mark: Decimal) -> dict[str, Any]:
    """One position at the `mark` price, or as it was when it closed."""
    position = past.position
    price = mark if past.closing_price is None else past.closing_price
    notional = abs(position.quantity) * price
    return {
        "accountLeverage": None,
        "closedAt": None if past.closed_us is None else naive_iso(past.closed_us),
        "closedVolume": plain(past.closed_volume),
        "closingPrice": None if past.closing_price is None else plain(past.closing_price),
        "cumulativePnlRealized": _rounded(past.profit),
        "entryPrice": _rounded(position.entry_price),
        "fees": plain(past.fees),
        "fundingQuantity": _rounded(position.funding),
        "id": str(position.position_id),
        "imf": _rounded(INITIAL_MARGIN.fraction(notional)),
        "interest": "0",
        "liquidated": "0",
        "liquidationFees": "0",
        "markPrice": plain(price),
        "netCost": _rounded(position.entry_price * position.quantity),
        "netExposureNotional": plain(notional),
        "netExposureQuantity": plain(abs(position.quantity)),
        "netQuantity": plain(position.quantity),
        "openedAt": naive_iso(past.opened_us),
        "state": "Open" if past.closed_us is None else "Closed",
        "symbol": position.symbol,
        "unrealizedPnl": _rounded(position.unrealised(price)),
    }


def settlement_row(settlement: Settlement) -> dict[str, Any]:
    """One settlement; negative when it was paid."""
    return {
        "quoteQuantity": plain(settlement.amount),
        "source": settlement.source,
        "subaccountId": 0,
        "timestamp": naive_iso(settlement.time_us),
        "userId": 101,
    }


def _rounded(value: Decimal) -> str:
    return plain(value.quantize(EIGHT_DECIMALS))
