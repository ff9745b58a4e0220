"""The orders, fills and funding payments of every account, newest last, bounded."""

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import islice
from typing import Final

from backpack_sandbox.account.fees import fee
from backpack_sandbox.account.funding import FundingPayment
from backpack_sandbox.market.catalog import Market
from backpack_sandbox.market.events import Fill, OrderEvent
from backpack_sandbox.market.orders import Order

KEPT: Final = 20_000
"""Orders, and fills, remembered of each account: more would make a checkpoint a long pause."""


@dataclass(frozen=True, slots=True)
class OrderRecord:
    """An order as of its last change; engine times in unix µs."""

    order: Order
    created_us: int
    updated_us: int


@dataclass(frozen=True, slots=True)
class FillRecord:
    """One match of an order, as the order was right after it; engine time in unix µs."""

    order: Order
    fill: Fill
    time_us: int
    fee: Decimal
    fee_asset: str


@dataclass(frozen=True, slots=True)
class HistoryState:
    """All that is remembered of one account, oldest first."""

    orders: list[OrderRecord]
    fills: list[FillRecord]
    fundings: list[FundingPayment]


@dataclass(slots=True)
class _AccountHistory:
    orders: dict[tuple[str, int], OrderRecord] = field(default_factory=dict)
    fills: deque[FillRecord] = field(default_factory=lambda: deque(maxlen=KEPT))
    fundings: deque[FundingPayment] = field(default_factory=lambda: deque(maxlen=KEPT))
    ended: int = 0

    def forget_oldest(self, but: tuple[str, int]) -> None:
        """Make room in one go, so that forgetting costs little per order.

        `but` has just ended: its owner still waits for the answer, however old it is.
        """
        if self.ended <= KEPT:
            return
        ended = (k for k, record in self.orders.items() if k != but and not record.order.is_open)
        for key in list(islice(ended, KEPT // 100 + 1)):
            del self.orders[key]
            self.ended -= 1


class OrderHistory:
    """Fed by every order event and funding payment; open orders are never forgotten."""

    def __init__(self, catalog: Mapping[str, Market], accounts: Iterable[str]) -> None:
        self._catalog = catalog
        self._accounts = {account: _AccountHistory() for account in accounts}

    def note(self, event: OrderEvent, time_us: int) -> None:
        """Take up an event that the engine stamped `time_us`."""
        order = event.order
        history = self._accounts[order.request.account]
        key = (order.symbol, order.order_id)
        known = history.orders.get(key)
        created_us = known.created_us if known else time_us
        history.orders[key] = OrderRecord(order, created_us, time_us)
        if not order.is_open:
            history.ended += known is None or known.order.is_open
            history.forget_oldest(key)
        if event.fill:
            charged = fee(self._catalog[order.symbol], order.request.side, event.fill)
            history.fills.append(
                FillRecord(order, event.fill, time_us, charged.amount, charged.asset)
            )

    def note_funding(self, account: str, payment: FundingPayment) -> None:
        """Take up a funding payment."""
        self._accounts[account].fundings.append(payment)

    def state(self, account: str) -> HistoryState:
        """A copy of everything of `account`, for `restore`."""
        history = self._accounts[account]
        return HistoryState(
            list(history.orders.values()), list(history.fills), list(history.fundings)
        )

    def restore(self, account: str, state: HistoryState) -> None:
        """Remember exactly what `state` has of `account`."""
        self._accounts[account] = _AccountHistory(
            {(r.order.symbol, r.order.order_id): r for r in state.orders},
            deque(state.fills, maxlen=KEPT),
            deque(state.fundings, maxlen=KEPT),
            sum(not record.order.is_open for record in state.orders),
        )

    def record(self, order: Order) -> OrderRecord:
        """What is known of an order; KeyError when it is forgotten."""
        return self._accounts[order.request.account].orders[order.symbol, order.order_id]

    def orders(
        self,
        account: str,
        *,
        symbol: str | None = None,
        order_id: int | None = None,
        market_type: str | None = None,
    ) -> list[OrderRecord]:
        """Orders of `account`, open ones too, the newest first."""
        return [
            record
            for record in reversed(self._accounts[account].orders.values())
            if self._matches(record.order, symbol, order_id, market_type)
        ]

    def fills(
        self,
        account: str,
        *,
        symbol: str | None = None,
        order_id: int | None = None,
        from_ms: int | None = None,
        to_ms: int | None = None,
        market_type: str | None = None,
    ) -> list[FillRecord]:
        """Fills of `account` from `from_ms` to `to_ms`, both included, the newest first."""
        first = -1 if from_ms is None else from_ms
        return [
            record
            for record in reversed(self._accounts[account].fills)
            if self._matches(record.order, symbol, order_id, market_type)
            and first <= record.time_us // 1000
            and (to_ms is None or record.time_us // 1000 <= to_ms)
        ]

    def fundings(self, account: str, *, symbol: str | None = None) -> list[FundingPayment]:
        """Funding payments of `account`, the newest first."""
        return [
            payment
            for payment in reversed(self._accounts[account].fundings)
            if symbol in {None, payment.symbol}
        ]

    def _matches(
        self, order: Order, symbol: str | None, order_id: int | None, market_type: str | None
    ) -> bool:
        return (
            symbol in {None, order.symbol}
            and order_id in {None, order.order_id}
            and market_type in {None, self._catalog[order.symbol].market_type}
        )
