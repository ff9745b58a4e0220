"""What the terms of an order say about a match: how much, at which price, with whom."""

from backpack_sandbox.market.book import OrderBook
from backpack_sandbox.market.orders import (
    ANONYMOUS,
    ExpiryReason,
    Order,
    OrderRequest,
    SelfTradePrevention,
    TimeInForce,
)
from backpack_sandbox.market.sides import Side


def wanted(taker: Order, price: int) -> int:
    """Steps that the taker still takes at `price`: of a quote quantity, what that buys."""
    request = taker.request
    if request.quote_quantity is None:
        return taker.remaining
    return (request.quote_quantity - taker.executed_notional) // price


def accepts(request: OrderRequest, price: int) -> bool:
    """Whether the order may trade at `price`."""
    limit = request.price
    if limit is None:
        return True
    return price <= limit if request.side is Side.BID else price >= limit


def is_prevented(request: OrderRequest, maker: Order) -> bool:
    """Whether a match would be a self-trade that the taker does not allow."""
    return (
        request.account != ANONYMOUS
        and request.account == maker.request.account
        and request.self_trade_prevention is not SelfTradePrevention.ALLOW
    )


def why_not_resting(request: OrderRequest) -> ExpiryReason | None:
    """Why what a match left over must go; None when it may rest."""
    if request.price is None:
        return ExpiryReason.INSUFFICIENT_LIQUIDITY
    if request.time_in_force is TimeInForce.GTC:
        return None
    return ExpiryReason.IMMEDIATE_OR_CANCEL


def fills_whole(request: OrderRequest, book: OrderBook) -> bool:
    """Whether `request` would find all that it wants; a fill-or-kill order asks beforehand."""
    left = request.quantity or request.quote_quantity or 0
    for level in book.best_first(request.side.opposite):
        unit = 1 if request.quote_quantity is None else level.price
        if left < unit or not accepts(request, level.price):
            return False
        for maker in level.orders.values():
            if not is_prevented(request, maker):
                left -= unit * min(maker.remaining, left // unit)
            elif request.self_trade_prevention is not SelfTradePrevention.REJECT_MAKER:
                return False
            if left < unit:
                return True
    return False
