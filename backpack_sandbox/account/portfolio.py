"""What one account owns: balances and positions, folded from its order events and funding."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from backpack_sandbox.account.fees import fee
from backpack_sandbox.account.funding import FundingPayment
from backpack_sandbox.account.positions import Position, PositionChange
from backpack_sandbox.market.book import Side
from backpack_sandbox.market.catalog import Market
from backpack_sandbox.market.events import Fill, OrderEvent
from backpack_sandbox.market.orders import Order, OrderRequest

QUOTE: Final = "USDC"
FIRST_POSITION_ID: Final = 28_600_000_000


@dataclass(frozen=True, slots=True)
class Endowment:
    """What an account starts with: quote units, and usual order sizes of each spot base."""

    quote: Decimal
    orders: int


@dataclass(frozen=True, slots=True)
class Balance:
    """One asset; both parts absolute, and nothing is ever staked."""

    asset: str
    available: Decimal
    locked: Decimal = Decimal(0)


type AccountChange = Balance | PositionChange


@dataclass(frozen=True, slots=True)
class PortfolioState:
    """All that a portfolio remembers; `locks` are (symbol, order id, amount) of open orders."""

    balances: list[Balance]
    locks: list[tuple[str, int, Decimal]]
    positions: list[Position]
    last_position_id: int


class Portfolio:
    """A function of the events since the first: a ledger read back gives the same again.

    Spot limit orders lock what they would pay, perpetual orders lock nothing. Fees and the profit
    of perpetuals settle with each fill.
    """

    def __init__(self, catalog: Mapping[str, Market], endowment: Endowment) -> None:
        self._catalog = catalog
        self._balances = {QUOTE: Balance(QUOTE, endowment.quote)}
        for market in catalog.values():
            if market.market_type == "SPOT" and market.has_book:
                steps = endowment.orders * market.typical_order_steps
                owned = market.quantity_grid.value(steps)
                self._balances.setdefault(market.base, Balance(market.base, owned))
        self._locks: dict[tuple[str, int], Decimal] = {}
        self._positions: dict[str, Position] = {}
        self._last_position_id = FIRST_POSITION_ID

    def state(self) -> PortfolioState:
        """A copy of everything, for `restore`."""
        return PortfolioState(
            balances=list(self._balances.values()),
            locks=[(*key, amount) for key, amount in self._locks.items()],
            positions=list(self._positions.values()),
            last_position_id=self._last_position_id,
        )

    def restore(self, state: PortfolioState) -> None:
        """Be as the portfolio that gave `state`; assets that are new since then keep theirs."""
        self._balances |= {balance.asset: balance for balance in state.balances}
        self._locks = {(symbol, order_id): amount for symbol, order_id, amount in state.locks}
        self._positions = {position.symbol: position for position in state.positions}
        self._last_position_id = state.last_position_id

    def balances(self) -> Iterator[Balance]:
        """Every asset."""
        return iter(self._balances.values())

    def balance(self, asset: str) -> Balance:
        """One asset; nothing of an unknown one."""
        return self._balances.get(asset, Balance(asset, Decimal(0)))

    def positions(self) -> Iterator[Position]:
        """The open ones, in the order they were opened."""
        return iter(self._positions.values())

    def position(self, symbol: str) -> Position | None:
        """The open position in one market."""
        return self._positions.get(symbol)

    def apply(self, event: OrderEvent) -> list[AccountChange]:
        """Follow one order event; return what changed, in order, with its new absolute values."""
        market = self._catalog[event.symbol]
        order, fill = event.order, event.fill
        if market.market_type == "PERP":
            return self._fill_perpetual(market, order.request.side, fill) if fill else []
        if fill:
            return self._fill_spot(market, order, fill)
        return self._lock(market, order) if event.kind == "orderAccepted" else self._release(order)

    def pay_funding(self, payment: FundingPayment) -> Balance:
        """Settle a payment of an open position; KeyError when there is none."""
        position = self._positions[payment.symbol]
        self._positions[payment.symbol] = position.funded(payment.amount)
        return self._add(self._catalog[payment.symbol].quote, payment.amount)

    def _lock(self, market: Market, order: Order) -> list[AccountChange]:
        if order.request.price is None:
            return []
        asset, amount = reserve(market, order.request, order.remaining)
        self._locks[order.symbol, order.order_id] = amount
        return [self._move(asset, amount)]

    def _release(self, order: Order) -> list[AccountChange]:
        """The order is over: what it still held is free again."""
        amount = self._locks.pop((order.symbol, order.order_id), Decimal(0))
        asset, _ = reserve(self._catalog[order.symbol], order.request, 0)
        return [self._move(asset, -amount)] if amount else []

    def _fill_spot(self, market: Market, order: Order, fill: Fill) -> list[AccountChange]:
        key, side = (order.symbol, order.order_id), order.request.side
        if key in self._locks:
            asset, amount = reserve(market, order.request, fill.quantity)
            self._move(asset, -amount)
            self._locks[key] -= amount
            if not self._locks[key]:
                del self._locks[key]
        quantity = market.quantity_grid.value(fill.quantity)
        sign = 1 if side is Side.BID else -1
        moved = {
            market.base: sign * quantity,
            market.quote: -sign * market.price_grid.value(fill.price) * quantity,
        }
        charged = fee(market, side, fill)
        moved[charged.asset] -= charged.amount
        return [self._add(asset, amount) for asset, amount in moved.items()]

    def _fill_perpetual(self, market: Market, side: Side, fill: Fill) -> list[AccountChange]:
        price = market.price_grid.value(fill.price)
        quantity = market.quantity_grid.value(fill.quantity)
        signed = quantity if side is Side.BID else -quantity
        position = self._positions.get(market.symbol)
        charged = fee(market, side, fill).amount
        changes: list[PositionChange] = []
        settled = -charged
        if position and position.quantity * signed < 0 and abs(signed) > abs(position.quantity):
            # one fill turned it round: the old position ends, the rest is a new one
            ended = position.close(price)
            settled += ended.profit
            changes.append(ended)
            signed += position.quantity
            self._keep(ended.position)
            position = None
        if position is None:
            self._last_position_id += 1
            position = Position(market.symbol, self._last_position_id)
        changed = position.fill(price, signed, charged)
        settled += changed.profit
        changes.append(changed)
        self._keep(changed.position)
        return [*changes, self._add(market.quote, settled)]

    def _keep(self, position: Position) -> None:
        if position.quantity:
            self._positions[position.symbol] = position
        else:
            self._positions.pop(position.symbol, None)

    def _add(self, asset: str, amount: Decimal) -> Balance:
        before = self.balance(asset)
        return self._set(Balance(asset, before.available + amount, before.locked))

    def _move(self, asset: str, amount: Decimal) -> Balance:
        """From available to locked, or back when negative."""
        before = self.balance(asset)
        return self._set(Balance(asset, before.available - amount, before.locked + amount))

    def _set(self, balance: Balance) -> Balance:
        self._balances[balance.asset] = balance
        return balance


def reserve(market: Market, request: OrderRequest, steps: int) -> tuple[str, Decimal]:
    """What `steps` of a spot limit order would pay: (asset, amount)."""
    quantity = market.quantity_grid.value(steps)
    if request.side is Side.ASK:
        return market.base, quantity
    return market.quote, market.price_grid.value(request.price or 0) * quantity
