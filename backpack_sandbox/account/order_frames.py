"""The data of an `account.orderUpdate` frame, and the order event that a frame came from.

The two are each other's inverse: the ledger keeps frames, and a restarted venue reads them back.
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from backpack_sandbox.account.fees import fee
from backpack_sandbox.market.book import Side
from backpack_sandbox.market.catalog import Market
from backpack_sandbox.market.decimals import pad, plain
from backpack_sandbox.market.events import Fill, OrderEvent
from backpack_sandbox.market.orders import (
    ExpiryReason,
    Order,
    OrderRequest,
    OrderStatus,
    SelfTradePrevention,
    TimeInForce,
)


def order_data(market: Market, event: OrderEvent) -> dict[str, Any]:
    """`data` without its times: keys and their order as recorded from the venue.

    Inferred: `Q` is the wanted quote quantity of a market order by quote quantity, which has the
    executed quantity in `q`, and price times quantity on limit orders; a market order by quantity
    has none.
    """
    order = event.order
    request = order.request
    quantity = order.executed if request.quantity is None else request.quantity
    executed = _notional(market, order.executed_notional)
    data: dict[str, Any] = {
        "O": "USER",
        "S": request.side.value,
        "V": request.self_trade_prevention.value,
        "X": order.status.value,
        "Z": executed if order.executed else "0",
        "e": event.kind,
        "f": request.time_in_force.value,
        "i": str(order.order_id),
        "o": "MARKET" if request.price is None else "LIMIT",
        "q": market.quantity_grid.padded(quantity),
        "r": request.reduce_only,
        "s": market.symbol,
        "t": None,
        "z": market.quantity_grid.padded(order.executed) if order.executed else "0",
    }
    if request.quote_quantity is not None:
        data["Q"] = _notional(market, request.quote_quantity)
    if request.price is not None:
        data["Q"] = _notional(market, request.price * quantity)
        data["p"] = market.price_grid.padded(request.price)
        data["y"] = request.post_only
    if request.client_id is not None:
        data["c"] = request.client_id
    if order.expiry_reason is not None:
        data["R"] = order.expiry_reason.value
    return data | _fill_data(market, event)


def read_order_event(market: Market, data: Mapping[str, Any], account: str) -> OrderEvent:
    """The event whose frame had this `data`.

    Raises KeyError, ValueError, TypeError or ArithmeticError for the data of no such frame.
    """
    price, quantity = market.price_grid, market.quantity_grid
    by_quote = data["o"] == "MARKET" and "Q" in data
    request = OrderRequest(
        account=account,
        side=Side(data["S"]),
        price=price.count(data["p"]) if "p" in data else None,
        quantity=None if by_quote else quantity.count(data["q"]),
        quote_quantity=_notional_counts(market, data["Q"]) if by_quote else None,
        time_in_force=TimeInForce(data["f"]),
        post_only=data.get("y", False),
        reduce_only=data["r"],
        self_trade_prevention=SelfTradePrevention(data["V"]),
        client_id=data.get("c"),
    )
    order = Order(
        symbol=market.symbol,
        order_id=int(data["i"]),
        request=request,
        executed=quantity.count(data["z"]),
        executed_notional=_notional_counts(market, data["Z"]),
        status=OrderStatus(data["X"]),
        expiry_reason=ExpiryReason(data["R"]) if "R" in data else None,
    )
    return OrderEvent(data["e"], order, _read_fill(market, data))


def _fill_data(market: Market, event: OrderEvent) -> dict[str, Any]:
    fill = event.fill
    if fill is None:
        return {}
    charged = fee(market, event.order.request.side, fill)
    return {
        "L": market.price_grid.padded(fill.price),
        "N": charged.asset,
        "l": market.quantity_grid.padded(fill.quantity),
        "m": fill.is_maker,
        "n": plain(charged.amount),
        "t": fill.trade_id,
    }


def _read_fill(market: Market, data: Mapping[str, Any]) -> Fill | None:
    if data["t"] is None:
        return None
    price, quantity = market.price_grid, market.quantity_grid
    return Fill(data["t"], price.count(data["L"]), quantity.count(data["l"]), data["m"])


def _notional(market: Market, counts: int) -> str:
    """`counts` is a sum of price ticks x quantity steps."""
    price, quantity = market.price_grid, market.quantity_grid
    scale = price.scaled(1) * quantity.scaled(1)
    return pad(counts * scale, price.decimals + quantity.decimals)


def _notional_counts(market: Market, text: str) -> int:
    return int(Decimal(text) / (market.price_grid.unit * market.quantity_grid.unit))
