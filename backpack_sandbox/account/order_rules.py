"""Which orders a market takes at all, whoever sends them and whatever he owns.

The messages of the price band and of post-only are recorded by clients; the others are inferred.
Their codes are from the list of ApiErrorCode at https://docs.backpack.exchange.
"""

from decimal import Decimal
from typing import Final

from backpack_sandbox.market.book import Side
from backpack_sandbox.market.matching import MatchingEngine
from backpack_sandbox.market.orders import OrderRefusedError, OrderRequest, TimeInForce
from backpack_sandbox.market.perpetuals import mid_ticks

PRICE_BANDS: Final = {
    "SPOT": (Decimal("0.25"), Decimal(2)),
    "PERP": (Decimal("0.75"), Decimal("1.25")),
}
"""`minMultiplier` and `maxMultiplier` of the price filter, by market type."""

TOO_FAR: Final = "Price is too far from the last active price"


def check_rules(engine: MatchingEngine, state: str, request: OrderRequest) -> None:
    """Raise OrderRefusedError when the market, in this `orderBookState`, takes no such order."""
    _check_state(state, request)
    if request.post_only and (
        request.price is None or request.time_in_force is not TimeInForce.GTC
    ):
        raise OrderRefusedError("INVALID_ORDER", "Only a GTC limit order can be post only")
    amount = request.quantity if request.quote_quantity is None else request.quote_quantity
    if amount is None or amount <= 0:
        raise OrderRefusedError("INVALID_QUANTITY", "Quantity is below the minimum order size")
    if request.price is not None:
        _check_price(engine, request.price)


def _check_state(state: str, request: OrderRequest) -> None:
    if state in {"Closed", "CancelOnly"}:
        raise OrderRefusedError("TRADING_PAUSED", f"Market takes no orders: it is {state}")
    if state == "PostOnly" and not request.post_only:
        raise OrderRefusedError("INVALID_ORDER", "Market is in post only mode")
    if state == "LimitOnly" and request.price is None:
        raise OrderRefusedError("INVALID_ORDER", "Market is in limit only mode")


def _check_price(engine: MatchingEngine, price: int) -> None:
    """Within the band around the middle of the book, or the one best price that is left."""
    if price <= 0:
        raise OrderRefusedError("INVALID_PRICE", "Price is below the minimum price")
    book = engine.book
    active = mid_ticks(book) or book.best_price(Side.BID) or book.best_price(Side.ASK)
    lowest, highest = PRICE_BANDS[engine.market.market_type]
    if active is not None and not lowest * active <= price <= highest * active:
        raise OrderRefusedError("INVALID_PRICE", TOO_FAR)
