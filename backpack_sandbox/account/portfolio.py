"""What the house account owns: balances and positions, folded from its order events alone."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from backpack_sandbox.account.fees import fee
from backpack_sandbox.account.positions import Position, PositionChange
from backpack_sandbox.market.book import Side
from backpack_sandbox.market.catalog import Market
from backpack_sandbox.market.events import Fill, OrderEvent

QUOTE: Final = "USDC"
FIRST_QUOTE: Final = Decimal(10_000_000)
FIRST_ORDERS: Final = 500
FIRST_POSITION_ID: Final = 28_600_000_000


@dataclass(frozen=True, slots=True)
class Balance:
    """One asset; both parts absolute, and nothing is ever staked."""

    asset: str
    available: Decimal
    locked: Decimal = Decimal(0)


type AccountChange = Balance | PositionChange


class Portfolio:
    """A function of the order events since the first: a ledger read back gives the same again.

    Spot orders lock what they would pay, perpetual orders lock nothing. Fees and the profit of
    perpetuals settle in USDC with each fill.
    """

    def __init__(self, catalog: Mapping[str, Market]) -> None:
        self._catalog = catalog
        self._balances = {QUOTE: Balance(QUOTE, FIRST_QUOTE)}
        for market in catalog.values():
            if market.market_type == "SPOT" and market.has_trades:
                steps = FIRST_ORDERS * market.typical_order_steps
                owned = market.quantity_grid.value(steps)
                self._balances[market.base] = Balance(market.base, owned)
        self._positions: dict[str, Position] = {}
        self._last_position_id = FIRST_POSITION_ID

    def balances(self) -> Iterator[Balance]:
        """Every asset."""
        return iter(self._balances.values())

    def positions(self) -> Iterator[Position]:
        """The open ones, in the order they were opened."""
        return iter(self._positions.values())

    def apply(self, event: OrderEvent) -> list[AccountChange]:
        """Follow one order event; return what changed, in order, with its new absolute values."""
        market = self._catalog[event.symbol]
        if market.market_type == "PERP":
            return self._fill_perpetual(market, event.side, event.fill) if event.fill else []
        return (
            self._fill_spot(market, event, event.fill) if event.fill else self._lock(market, event)
        )

    def _lock(self, market: Market, event: OrderEvent) -> list[AccountChange]:
        """An order that comes locks all of it, one that goes releases what was left."""
        if event.kind == "orderAccepted":
            return [self._move(*_reserve(market, event, event.quantity))]
        asset, amount = _reserve(market, event, event.quantity - event.executed)
        return [self._move(asset, -amount)]

    def _fill_spot(self, market: Market, event: OrderEvent, fill: Fill) -> list[AccountChange]:
        if event.price is not None:
            asset, amount = _reserve(market, event, fill.quantity)
            self._move(asset, -amount)
        quantity = market.quantity_grid.value(fill.quantity)
        paid = market.price_grid.value(fill.price) * quantity
        sign = 1 if event.side is Side.BID else -1
        return [
            self._add(market.base, sign * quantity),
            self._add(market.quote, -sign * paid - fee(market, fill)),
        ]

    def _fill_perpetual(self, market: Market, side: Side, fill: Fill) -> list[AccountChange]:
        price = market.price_grid.value(fill.price)
        quantity = market.quantity_grid.value(fill.quantity)
        signed = quantity if side is Side.BID else -quantity
        position = self._positions.get(market.symbol)
        charged = fee(market, fill)
        changes: list[PositionChange] = []
        settled = -charged
        if position and position.quantity * signed < 0 and abs(signed) > abs(position.quantity):
            # one fill turned it round: the old position ends, the rest is a new one
            ended = position.close(price)
            settled += ended.profit
            changes.append(ended)
            signed += position.quantity
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
        before = self._balances[asset]
        return self._set(Balance(asset, before.available + amount, before.locked))

    def _move(self, asset: str, amount: Decimal) -> Balance:
        """From available to locked, or back when negative."""
        before = self._balances[asset]
        return self._set(Balance(asset, before.available - amount, before.locked + amount))

    def _set(self, balance: Balance) -> Balance:
        self._balances[balance.asset] = balance
        return balance


def _reserve(market: Market, event: OrderEvent, steps: int) -> tuple[str, Decimal]:
    """What `steps` of an order would pay: (asset, amount)."""
    quantity = market.quantity_grid.value(steps)
    if event.side is Side.ASK:
        return market.base, quantity
    return market.quote, market.price_grid.value(event.price or 0) * quantity
