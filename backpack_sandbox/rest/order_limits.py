"""The most that an account could order: searched with the desk's own check of the funds."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from backpack_sandbox.account.accounts import Accounts
from backpack_sandbox.account.funds import Funds
from backpack_sandbox.market.book import Side
from backpack_sandbox.market.catalog import Market
from backpack_sandbox.market.matching import MatchingEngine
from backpack_sandbox.market.orders import OrderRefusedError, OrderRequest
from backpack_sandbox.rest.order_payloads import SIDES, OrderSide
from backpack_sandbox.rest.parameters import ParameterError, positive_decimal, text
from backpack_sandbox.rest.queries import Query, choice, flag
from backpack_sandbox.rest.signed import Given, RequestRefusedError

STEPS_MAX: Final = 2**60
SETTINGS: Final = ("autoBorrow", "autoBorrowRepay", "autoLendRedeem")


@dataclass(frozen=True, slots=True)
class LimitWanted:
    """What the order would be; `price` as it was written, None for the best of the book."""

    symbol: str
    side: OrderSide
    price: str | None
    reduce_only: bool | None
    settings: Mapping[str, bool | None]


def read_limit(given: Given) -> LimitWanted:
    """The parameters of `/account/limits/order`."""
    query = given.query
    return LimitWanted(
        symbol=text(query, "symbol"),
        side=_side(query),
        price=positive_decimal(query, "price") if "price" in query else None,
        reduce_only=flag(query, "reduceOnly"),
        settings={name: flag(query, name) for name in SETTINGS},
    )


class OrderLimits:
    """Nothing is borrowed or redeemed here, so those settings change nothing."""

    def __init__(
        self, engines: Mapping[str, MatchingEngine], accounts: Accounts, funds: Funds
    ) -> None:
        self._engines = engines
        self._accounts = accounts
        self._funds = funds

    def body(self, account: str, wanted: LimitWanted) -> dict[str, Any]:
        """The answer; RequestRefusedError for a symbol without a book."""
        engine = self._engines.get(wanted.symbol)
        if engine is None:
            raise RequestRefusedError("INVALID_CLIENT_REQUEST", "Invalid market symbol")
        market = engine.market
        steps = self._most(account, engine, wanted)
        return {
            **wanted.settings,
            "maxOrderQuantity": market.quantity_grid.normal(steps),
            "price": wanted.price,
            "reduceOnly": wanted.reduce_only,
            "side": wanted.side,
            "symbol": market.symbol,
        }

    def _most(self, account: str, engine: MatchingEngine, wanted: LimitWanted) -> int:
        """In steps, by halving; 0 when not even one can be paid for."""
        side = SIDES[wanted.side]
        if wanted.reduce_only:
            return self._reducible(account, engine.market, side)
        price = self._price(engine, side, wanted.price)
        low, high = 0, STEPS_MAX
        while low < high:
            middle = (low + high + 1) // 2
            request = OrderRequest(account=account, side=side, price=price, quantity=middle)
            if self._can_pay(engine, request):
                low = middle
            else:
                high = middle - 1
        return low

    def _can_pay(self, engine: MatchingEngine, request: OrderRequest) -> bool:
        try:
            self._funds.check(engine, request)
        except OrderRefusedError:
            return False
        return True

    def _price(self, engine: MatchingEngine, side: Side, given: str | None) -> int:
        """In ticks; the first reference price when the book is empty."""
        grid = engine.market.price_grid
        if given is not None:
            return max(1, grid.count(given))
        best = engine.book.best_price(side.opposite)
        return grid.count(engine.market.price) if best is None else best

    def _reducible(self, account: str, market: Market, side: Side) -> int:
        position = self._accounts[account].position(market.symbol)
        if position is None or (position.quantity > 0) == (side is Side.BID):
            return 0
        return market.quantity_grid.count(abs(position.quantity))


def _side(query: Query) -> OrderSide:
    side = choice(query, "side", "Side", OrderSide)
    if side is None:
        raise ParameterError("side", 'Type "Side" expects an input value.')
    return side
