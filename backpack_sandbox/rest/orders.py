"""The order endpoints: place, batch, query, cancel, cancel all."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from aiohttp import web

from backpack_sandbox.account.desk import TradingDesk
from backpack_sandbox.account.history import OrderHistory
from backpack_sandbox.constants import API_PREFIX
from backpack_sandbox.market.catalog import Market
from backpack_sandbox.market.orders import Order, OrderRefusedError, OrderRequest
from backpack_sandbox.rest import answers
from backpack_sandbox.rest.order_bodies import order_body
from backpack_sandbox.rest.order_payloads import CancelOrderType, OrderPayloads, order_request
from backpack_sandbox.rest.parameters import text
from backpack_sandbox.rest.payloads import UINT32_MAX
from backpack_sandbox.rest.queries import (
    MarketType,
    market_types,
    optional_number,
    optional_text,
    order_number,
)
from backpack_sandbox.rest.signed import Call, Endpoint, Given, RequestRefusedError

ONE_ID: Final = "Must specify exactly one of `orderId` and `clientId`"

type Payload = dict[str, Any]


@dataclass(frozen=True, slots=True)
class OrderName:
    """Which order is meant: by the venue's id (text, perhaps no number) or by the client's."""

    symbol: str
    order_id: str | None
    client_id: int | None


@dataclass(frozen=True, slots=True)
class OrdersWanted:
    """Which open orders are asked for; None means every one."""

    symbol: str | None
    market_types: Sequence[MarketType]


class OrdersRest:
    """Trades through the desk alone, so that sockets, books and balances agree with it.

    An order that may take waits `taker_delay_seconds` first (FAQ). With `cancel_accepted()` a
    DELETE answers 202 without a body, and the cancel happens after the same delay: documented, but
    when the venue does so was not recorded.
    """

    def __init__(
        self,
        catalog: Mapping[str, Market],
        desk: TradingDesk,
        history: OrderHistory,
        *,
        taker_delay_seconds: float,
        cancel_accepted: Callable[[], bool],
    ) -> None:
        self._catalog = catalog
        self._desk = desk
        self._history = history
        self._delay_seconds = taker_delay_seconds
        self._cancel_accepted = cancel_accepted
        self._payloads = OrderPayloads.of(catalog)

    def endpoints(self) -> list[Endpoint[Any]]:
        """Every endpoint of open orders."""
        one, many = f"{API_PREFIX}/order", f"{API_PREFIX}/orders"
        return [
            Endpoint("POST", one, "orderExecute", self._read_order, self.place),
            Endpoint("POST", many, "orderExecute", self._read_batch, self.place_batch),
            Endpoint("GET", one, "orderQuery", _read_name, self.order),
            Endpoint("GET", many, "orderQueryAll", _read_wanted, self.open_orders),
            Endpoint("DELETE", one, "orderCancel", self._read_cancel, self.cancel),
            Endpoint("DELETE", many, "orderCancelAll", self._read_cancel_all, self.cancel_all),
        ]

    async def place(self, call: Call[Payload]) -> web.StreamResponse:
        """The order as it is after all its immediate matches."""
        request = self._request(call.account, call.value)
        if not request.post_only:
            await asyncio.sleep(self._delay_seconds)
        order = self._desk.place(call.value["symbol"], request)
        return answers.json_answer(self._body(order))

    async def place_batch(self, call: Call[list[Payload]]) -> web.StreamResponse:
        """One item per order, in order, each with its own `operation`.

        Those that cannot take are placed at once, the others after one delay together.
        """
        items: list[dict[str, Any]] = [{} for _ in call.value]
        waiting: list[int] = []
        for index, payload in enumerate(call.value):
            if payload["postOnly"]:
                items[index] = self._place_item(call.account, payload)
            else:
                waiting.append(index)
        if waiting:
            await asyncio.sleep(self._delay_seconds)
        for index in waiting:
            items[index] = self._place_item(call.account, call.value[index])
        return answers.json_answer(items)

    async def order(self, call: Call[OrderName]) -> web.StreamResponse:
        """An order that is open; 404 when it is not, or not any more."""
        self._check_symbol(call.value.symbol)
        order = self._desk.order(call.account, call.value.symbol, **_ids(call.value))
        if order is None:
            raise RequestRefusedError("RESOURCE_NOT_FOUND", "Not Found")
        return answers.json_answer(self._open_body(order))

    async def open_orders(self, call: Call[OrdersWanted]) -> web.StreamResponse:
        """Open orders, market by market, the oldest first."""
        wanted = call.value
        if wanted.symbol is not None:
            self._check_symbol(wanted.symbol)
        return answers.json_answer(
            [
                self._open_body(order)
                for order in self._desk.open_orders(call.account, symbol=wanted.symbol)
                if not wanted.market_types
                or self._catalog[order.symbol].market_type in wanted.market_types
            ]
        )

    async def cancel(self, call: Call[OrderName]) -> web.StreamResponse:
        """The order as it ended; 404 when it is not open."""
        name, ids = call.value, _ids(call.value)
        if not self._cancel_accepted():
            return answers.json_answer(
                self._body(self._desk.cancel(call.account, name.symbol, **ids))
            )
        if self._desk.order(call.account, name.symbol, **ids) is None:
            raise RequestRefusedError("RESOURCE_NOT_FOUND", "Not Found")
        response = await self._accept(call.request)
        if self._desk.order(call.account, name.symbol, **ids) is not None:
            self._desk.cancel(call.account, name.symbol, **ids)
        return response

    async def cancel_all(self, call: Call[Payload]) -> web.StreamResponse:
        """The orders as they ended; there are never conditional ones."""
        symbol = call.value["symbol"]
        if call.value["orderType"] is CancelOrderType.CONDITIONAL_ORDER:
            return answers.json_answer([])
        if not self._cancel_accepted():
            ended = self._desk.cancel_all(call.account, symbol)
            return answers.json_answer([self._body(order) for order in ended])
        response = await self._accept(call.request)
        self._desk.cancel_all(call.account, symbol)
        return response

    async def _accept(self, request: web.Request) -> web.StreamResponse:
        """Answer 202 now, and come back after the delay to do what it promised."""
        response = answers.text_answer("", status=202)
        response.headers["Content-Type"] = "application/json; charset=utf-8"
        await response.prepare(request)
        await response.write_eof()
        await asyncio.sleep(self._delay_seconds)
        return response

    def _place_item(self, account: str, payload: Payload) -> dict[str, Any]:
        try:
            request = self._request(account, payload)
            order = self._desk.place(payload["symbol"], request)
        except OrderRefusedError as error:
            return {"operation": "Err", "code": error.code, "message": error.message}
        return {**self._body(order), "operation": "Ok"}

    def _request(self, account: str, payload: Payload) -> OrderRequest:
        return order_request(account, self._catalog[payload["symbol"]], payload)

    def _body(self, order: Order) -> dict[str, Any]:
        return order_body(self._catalog[order.symbol], self._history.record(order))

    def _open_body(self, order: Order) -> dict[str, Any]:
        """Queries name one key more than the answer to a new order (recorded)."""
        return dict(sorted({**self._body(order), "systemOrderType": None}.items()))

    def _check_symbol(self, symbol: str) -> None:
        if symbol not in self._catalog:
            raise RequestRefusedError("INVALID_CLIENT_REQUEST", "Invalid market symbol")

    def _read_order(self, given: Given) -> Payload:
        return self._payloads.execute.parse(given.body)

    def _read_batch(self, given: Given) -> list[Payload]:
        return self._payloads.execute.parse_list(given.body)

    def _read_cancel(self, given: Given) -> OrderName:
        payload = self._payloads.cancel.parse(given.body)
        return OrderName(payload["symbol"], payload["orderId"], payload["clientId"])

    def _read_cancel_all(self, given: Given) -> Payload:
        return self._payloads.cancel_all.parse(given.body)


def _read_name(given: Given) -> OrderName:
    query = given.query
    return OrderName(
        text(query, "symbol"),
        optional_text(query, "orderId"),
        optional_number(query, "clientId", maximum=UINT32_MAX),
    )


def _read_wanted(given: Given) -> OrdersWanted:
    return OrdersWanted(optional_text(given.query, "symbol"), market_types(given.query))


def _ids(name: OrderName) -> dict[str, int | None]:
    """The desk's ids; text that is no number names no order."""
    if (name.order_id is None) == (name.client_id is None):
        raise RequestRefusedError("INVALID_CLIENT_REQUEST", ONE_ID)
    if name.order_id is None:
        return {"order_id": None, "client_id": name.client_id}
    order_id = order_number(name.order_id)
    if order_id is None:
        raise RequestRefusedError("RESOURCE_NOT_FOUND", "Not Found")
    return {"order_id": order_id, "client_id": None}
