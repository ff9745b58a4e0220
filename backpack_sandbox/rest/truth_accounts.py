"""What an account owns and has open, as the venue sees it."""

from collections.abc import Mapping
from typing import Any

from backpack_sandbox.account.portfolio import Portfolio
from backpack_sandbox.market.decimals import plain
from backpack_sandbox.market.matching import MatchingEngine
from backpack_sandbox.market.orders import Order


def account_body(
    account: str, portfolio: Portfolio, engines: Mapping[str, MatchingEngine]
) -> dict[str, Any]:
    """Exact decimals as text; quantities of positions are net, negative when short."""
    return {
        "account": account,
        "balances": {
            balance.asset: {"available": plain(balance.available), "locked": plain(balance.locked)}
            for balance in portfolio.balances()
        },
        "positions": [
            {
                "symbol": position.symbol,
                "id": str(position.position_id),
                "quantity": plain(position.quantity),
                "entry_price": plain(position.entry_price),
                "realised": plain(position.realised),
            }
            for position in portfolio.positions()
        ],
        "open_orders": [
            _order_body(engine, order)
            for engine in engines.values()
            for order in engine.open_orders(account)
        ],
    }


def _order_body(engine: MatchingEngine, order: Order) -> dict[str, Any]:
    request = order.request
    price, quantity = engine.market.price_grid.normal, engine.market.quantity_grid.normal
    return {
        "symbol": order.symbol,
        "id": str(order.order_id),
        "client_id": request.client_id,
        "side": request.side.value,
        "price": None if request.price is None else price(request.price),
        "quantity": None if request.quantity is None else quantity(request.quantity),
        "executed": quantity(order.executed),
        "status": order.status.value,
    }
