"""The bodies of the order endpoints, and what they ask of a market."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Context, Decimal
from enum import StrEnum
from typing import Any, Final

from backpack_sandbox.market.book import Side
from backpack_sandbox.market.catalog import Market
from backpack_sandbox.market.decimals import Grid
from backpack_sandbox.market.orders import (
    OrderRefusedError,
    OrderRequest,
    SelfTradePrevention,
    TimeInForce,
)
from backpack_sandbox.rest.payloads import (
    WireObject,
    boolean,
    decimal,
    enumeration,
    market_symbol,
    text,
    uint32,
)

UNMODELLED: Final = (
    "slippageTolerance",
    "slippageToleranceType",
    "stopLossLimitPrice",
    "stopLossTriggerBy",
    "stopLossTriggerPrice",
    "takeProfitLimitPrice",
    "takeProfitTriggerBy",
    "takeProfitTriggerPrice",
    "triggerBy",
    "triggerPrice",
    "triggerQuantity",
)
"""Fields that would change what an order does, and that the sandbox has no engine for."""


class OrderSide(StrEnum):
    """The side of an order, as the wire writes it."""

    BID = "Bid"
    ASK = "Ask"


class OrderType(StrEnum):
    """With a price or without."""

    LIMIT = "Limit"
    MARKET = "Market"


class CancelOrderType(StrEnum):
    """Which orders a cancel of all is about."""

    RESTING_LIMIT_ORDER = "RestingLimitOrder"
    CONDITIONAL_ORDER = "ConditionalOrder"


WIDE: Final = Context(prec=100)
"""Digits enough for any accepted decimal over any grid; the default's 28 are not."""

SIDES: Final = {OrderSide.BID: Side.BID, OrderSide.ASK: Side.ASK}


@dataclass(frozen=True, slots=True)
class OrderPayloads:
    """The schemas of the four bodies, for one catalogue."""

    execute: WireObject
    cancel: WireObject
    cancel_all: WireObject

    @classmethod
    def of(cls, catalog: Mapping[str, Market]) -> "OrderPayloads":
        """Symbols are those of `catalog`, closed ones too."""
        symbol = market_symbol(catalog)
        stop = enumeration("SelfTradePrevention", SelfTradePrevention)
        fields = {
            "orderType": enumeration("OrderTypeEnum", OrderType),
            "side": enumeration("Side", OrderSide),
            "symbol": symbol,
            "autoBorrow": boolean(),
            "autoBorrowRepay": boolean(),
            "autoLend": boolean(),
            "autoLendRedeem": boolean(),
            "brokerId": uint32(),
            "clientId": uint32(),
            "postOnly": boolean(),
            "price": decimal(),
            "quantity": decimal(),
            "quoteQuantity": decimal(),
            "reduceOnly": boolean(),
            "selfTradePrevention": stop,
            "timeInForce": enumeration("TimeInForce", TimeInForce),
        }
        fields |= {name: text() for name in UNMODELLED}
        return cls(
            WireObject("OrderExecutePayload", fields, frozenset({"orderType", "side", "symbol"})),
            WireObject(
                "OrderCancelPayload",
                {"clientId": uint32(), "orderId": text(), "symbol": symbol},
                frozenset({"symbol"}),
            ),
            WireObject(
                "OrderCancelAllPayload",
                {
                    "orderType": enumeration("CancelOrderTypeEnum", CancelOrderType),
                    "symbol": symbol,
                },
                frozenset({"symbol"}),
            ),
        )


def order_request(account: str, market: Market, payload: Mapping[str, Any]) -> OrderRequest:
    """What a parsed OrderExecutePayload asks; raises OrderRefusedError.

    "… decimal too long", "… below the minimum allowed value" and the market order's text are
    texts that clients handle by name; the others are inferred.
    """
    for name in UNMODELLED:
        if payload[name] is not None:
            raise OrderRefusedError("NOT_IMPLEMENTED", f"The sandbox does not model `{name}`")
    limit = payload["orderType"] is OrderType.LIMIT
    amounts = _limit_amounts(market, payload) if limit else _market_amounts(market, payload)
    return OrderRequest(
        account=account,
        side=SIDES[payload["side"]],
        time_in_force=payload["timeInForce"] or TimeInForce.GTC,
        post_only=bool(payload["postOnly"]),
        reduce_only=bool(payload["reduceOnly"]),
        self_trade_prevention=payload["selfTradePrevention"] or SelfTradePrevention.REJECT_TAKER,
        client_id=payload["clientId"],
        price=amounts.price,
        quantity=amounts.quantity,
        quote_quantity=amounts.quote_quantity,
    )


@dataclass(frozen=True, slots=True)
class _Amounts:
    """In counts: ticks, steps, and tick x step."""

    price: int | None = None
    quantity: int | None = None
    quote_quantity: int | None = None


def _limit_amounts(market: Market, payload: Mapping[str, Any]) -> _Amounts:
    price, quantity = payload["price"], payload["quantity"]
    if payload["quoteQuantity"] is not None:
        raise _bad_request("Limit orders must specify `quantity`, not `quoteQuantity`")
    if price is None or price <= 0:
        raise _bad_request("Limit orders must specify a positive `price`")
    if quantity is None or quantity <= 0:
        raise _bad_request("Limit orders must specify a positive `quantity`")
    return _Amounts(
        price=_whole(market.price_grid, price, "Price"), quantity=_quantity(market, quantity)
    )


def _market_amounts(market: Market, payload: Mapping[str, Any]) -> _Amounts:
    quantity, quote = payload["quantity"], payload["quoteQuantity"]
    if payload["price"] is not None:
        raise _bad_request("Market orders must not specify `price`")
    if quote is None:
        if quantity is None or quantity <= 0:
            raise _bad_request("Market orders must specify a positive `quantity`")
        return _Amounts(quantity=_quantity(market, quantity))
    if quantity is not None:
        raise _bad_request("Market orders must specify either `quantity` or `quoteQuantity`")
    if quote <= 0:
        raise _bad_request("Market orders must specify a positive `quoteQuantity`")
    unit = market.price_grid.unit * market.quantity_grid.unit
    return _Amounts(quote_quantity=int(WIDE.divide_int(quote, unit)))


def _quantity(market: Market, quantity: Decimal) -> int:
    if quantity < market.quantity_grid.unit:
        raise OrderRefusedError("INVALID_QUANTITY", "Quantity is below the minimum allowed value")
    return _whole(market.quantity_grid, quantity, "Quantity")


def _whole(grid: Grid, value: Decimal, what: str) -> int:
    if WIDE.remainder(value, grid.unit):
        raise _bad_request(f"{what} decimal too long")
    return int(WIDE.divide_int(value, grid.unit))


def _bad_request(message: str) -> OrderRefusedError:
    return OrderRefusedError("INVALID_CLIENT_REQUEST", message)
