"""The trading desk: the one way in which an account's owner places and cancels orders."""

from collections.abc import Callable, Mapping
from typing import Final

from msgspec.structs import replace

from backpack_sandbox.account.accounts import Accounts
from backpack_sandbox.account.funds import Funds, market_steps
from backpack_sandbox.account.order_rules import check_rules
from backpack_sandbox.market.book import Side
from backpack_sandbox.market.catalog import Market
from backpack_sandbox.market.events import MarketEvent, OrderEvent
from backpack_sandbox.market.matching import MatchingEngine
from backpack_sandbox.market.orders import (
    ExpiryReason,
    Order,
    OrderRefusedError,
    OrderRequest,
    OrderStatus,
)

NOT_REDUCED: Final = "Reduce only order not reduced"
"""The venue's words, as several clients match on them; the code is inferred."""


class TradingDesk:
    """Checks an order, hands it to its market, and publishes what became of it.

    `publish` gets the events of one act; they are with the listeners and in the ledger when a
    method returns. Every refusal is an OrderRefusedError, raised before anything changed.
    """

    def __init__(
        self,
        catalog: Mapping[str, Market],
        engines: Mapping[str, MatchingEngine],
        accounts: Accounts,
        publish: Callable[[list[MarketEvent]], None],
    ) -> None:
        self._catalog = catalog
        self._engines = engines
        self._accounts = accounts
        self._publish = publish
        self.funds = Funds(engines, accounts)

    def place(self, symbol: str, request: OrderRequest) -> Order:
        """Place an order in `symbol`; return it as it is after all immediate matches."""
        engine = self._engine(symbol)
        check_rules(engine, self._catalog[symbol].state, request)
        if request.reduce_only:
            request = self._reduced(engine, request)
        self.funds.check(engine, request)
        execution = engine.submit(request)
        self._tell(execution.events)
        return execution.order

    def cancel(
        self, account: str, symbol: str, *, order_id: int | None, client_id: int | None
    ) -> Order:
        """Cancel an open order of `account`, by one of its ids; return it as it ended."""
        order = self.order(account, symbol, order_id=order_id, client_id=client_id)
        if order is None:
            raise OrderRefusedError("RESOURCE_NOT_FOUND", "Not Found")
        return self._cancel(self._engines[symbol], order)

    def cancel_all(self, account: str, symbol: str) -> list[Order]:
        """Cancel all open orders of `account` in one market; return them as they ended."""
        return [
            self._cancel(self._engines[symbol], order)
            for order in self.open_orders(account, symbol=symbol)
        ]

    def order(
        self, account: str, symbol: str, *, order_id: int | None, client_id: int | None
    ) -> Order | None:
        """An open order of `account`; by client id the oldest that has it."""
        for order in self.open_orders(account, symbol=symbol):
            if order_id == order.order_id or (
                order_id is None and client_id is not None and client_id == order.request.client_id
            ):
                return order
        return None

    def open_orders(
        self, account: str, *, symbol: str | None = None, market_type: str | None = None
    ) -> list[Order]:
        """What `account` has resting, market by market, oldest first."""
        return [
            order
            for engine in self._engines.values()
            if symbol in {None, engine.market.symbol}
            and market_type in {None, engine.market.market_type}
            for order in engine.open_orders(account)
        ]

    def follow_fill(self, event: OrderEvent) -> None:
        """Cut the reduce-only orders to what a fill left to reduce; those with nothing end.

        The oldest keep theirs. The publisher calls it after all events of the act that the fill
        belongs to.
        """
        engine, account = self._engines[event.symbol], event.order.request.account
        left = {side: self._reducible(engine, account, side) for side in Side}
        for order in engine.open_orders(account):
            side = order.request.side
            if not order.request.reduce_only:
                continue
            if not left[side]:
                self._tell(_expired(engine.cancel(order.order_id), order.order_id))
            elif order.remaining > left[side]:
                self._tell(engine.reduce(order.order_id, left[side]))
            left[side] -= min(order.remaining, left[side])

    def _engine(self, symbol: str) -> MatchingEngine:
        if symbol not in self._catalog:
            raise OrderRefusedError("INVALID_CLIENT_REQUEST", "Invalid market symbol")
        if symbol not in self._engines:
            raise OrderRefusedError("TRADING_PAUSED", "Market takes no orders: it is Closed")
        return self._engines[symbol]

    def _reduced(self, engine: MatchingEngine, request: OrderRequest) -> OrderRequest:
        """The order, cut to what is left to reduce beside the reduce-only orders that rest."""
        left = self._reducible(engine, request.account, request.side) - sum(
            order.remaining
            for order in engine.open_orders(request.account)
            if order.request.reduce_only and order.request.side is request.side
        )
        if left <= 0:
            raise OrderRefusedError("INVALID_ORDER", NOT_REDUCED)
        if market_steps(engine, request) <= left:
            return request
        return replace(request, quantity=left, quote_quantity=None)

    def _reducible(self, engine: MatchingEngine, account: str, side: Side) -> int:
        """Steps that an order on `side` could trade before the position is flat."""
        position = self._accounts[account].position(engine.market.symbol)
        if position is None or (position.quantity > 0) == (side is Side.BID):
            return 0
        return engine.market.quantity_grid.count(abs(position.quantity))

    def _cancel(self, engine: MatchingEngine, order: Order) -> Order:
        events = engine.cancel(order.order_id)
        self._tell(events)
        ended = (e.order for e in events if isinstance(e, OrderEvent))
        return next(ended, order)

    def _tell(self, events: list[MarketEvent]) -> None:
        if events:
            self._publish(events)


def _expired(events: list[MarketEvent], order_id: int) -> list[MarketEvent]:
    """The events of a cancel, told as the venue's own act."""
    reason = ExpiryReason.REDUCE_ONLY_NOT_REDUCED
    return [
        replace(
            event,
            kind="orderExpired",
            order=replace(event.order, status=OrderStatus.EXPIRED, expiry_reason=reason),
        )
        if isinstance(event, OrderEvent) and event.order.order_id == order_id
        else event
        for event in events
    ]
