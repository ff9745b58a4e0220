"""Orders and fills as REST writes them: every key, nulls explicit, decimals normalised."""

from datetime import UTC, datetime, timedelta
from typing import Any, Final

from backpack_sandbox.account.history import FillRecord, OrderRecord
from backpack_sandbox.market.book import Side
from backpack_sandbox.market.catalog import Market
from backpack_sandbox.market.decimals import notional_scaled, pad, plain, strip_zeros
from backpack_sandbox.market.orders import Order

SIDE_NAMES: Final = {Side.BID: "Bid", Side.ASK: "Ask"}
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_NEVER: Final = (
    "stopLossLimitPrice",
    "stopLossTriggerBy",
    "stopLossTriggerPrice",
    "strategyId",
    "takeProfitLimitPrice",
    "takeProfitTriggerBy",
    "takeProfitTriggerPrice",
    "triggerBy",
    "triggerPrice",
    "triggerQuantity",
)
"""What no order of the sandbox has; the venue writes it as null."""


def order_body(market: Market, record: OrderRecord) -> dict[str, Any]:
    """An order as POST, GET and DELETE give it: `createdAt` in ms.

    A market order has no price and no postOnly but a quoteQuantity (recorded shape).
    """
    body = _shared(market, record.order)
    request = record.order.request
    body |= {
        "createdAt": record.created_us // 1000,
        "reduceOnly": request.reduce_only or None,
        "relatedOrderId": None,
        "triggeredAt": None,
    }
    if request.price is None:
        body["quoteQuantity"] = _quote_quantity(market, record.order)
    else:
        body |= {"postOnly": request.post_only, "price": market.price_grid.normal(request.price)}
    return dict(sorted(body.items()))


def history_body(market: Market, record: OrderRecord) -> dict[str, Any]:
    """An order as its history gives it: `createdAt` naive ISO, and why it expired."""
    body = _shared(market, record.order)
    order, request = record.order, record.order.request
    price = None if request.price is None else market.price_grid.normal(request.price)
    body |= {
        "createdAt": naive_iso(record.created_us),
        "expiryReason": order.expiry_reason,
        "postOnly": None if price is None else request.post_only,
        "price": price,
        "quoteQuantity": _quote_quantity(market, order),
        "slippageTolerance": None,
        "slippageToleranceType": None,
        "systemOrderType": None,
    }
    return dict(sorted(body.items()))


def fill_body(market: Market, record: FillRecord) -> dict[str, Any]:
    """One row of the fill history; the client id is text here."""
    request, fill = record.order.request, record.fill
    return {
        "clientId": None if request.client_id is None else str(request.client_id),
        "fee": plain(record.fee),
        "feeSymbol": record.fee_asset,
        "isMaker": fill.is_maker,
        "orderId": str(record.order.order_id),
        "price": market.price_grid.normal(fill.price),
        "quantity": market.quantity_grid.normal(fill.quantity),
        "side": SIDE_NAMES[request.side],
        "symbol": market.symbol,
        "systemOrderType": None,
        "timestamp": naive_iso(record.time_us),
        "tradeId": fill.trade_id,
    }


def naive_iso(time_us: int) -> str:
    """UTC without a zone, with milliseconds when there are any."""
    moment = _EPOCH + timedelta(milliseconds=time_us // 1000)
    text = moment.replace(tzinfo=None).isoformat(timespec="milliseconds")
    return text.removesuffix(".000")


def _shared(market: Market, order: Order) -> dict[str, Any]:
    request = order.request
    normal = market.quantity_grid.normal
    # an order by quote quantity says what it came to
    quantity = order.executed if request.quantity is None else request.quantity
    return dict.fromkeys(_NEVER) | {
        "clientId": request.client_id,
        "executedQuantity": normal(order.executed),
        "executedQuoteQuantity": _notional(market, order.executed_notional),
        "id": str(order.order_id),
        "orderType": "Market" if request.price is None else "Limit",
        "quantity": normal(quantity),
        "selfTradePrevention": request.self_trade_prevention,
        "side": SIDE_NAMES[request.side],
        "status": order.status,
        "symbol": market.symbol,
        "timeInForce": request.time_in_force,
    }


def _quote_quantity(market: Market, order: Order) -> str | None:
    asked = order.request.quote_quantity
    return None if asked is None else _notional(market, asked)


def _notional(market: Market, counts: int) -> str:
    """Counts of tick x step as a decimal of the quote asset."""
    grids = market.price_grid, market.quantity_grid
    scaled = notional_scaled(grids[0], 1, grids[1], counts)
    return strip_zeros(pad(scaled, grids[0].decimals + grids[1].decimals))
