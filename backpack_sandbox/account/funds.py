"""What an account can still pay for: spot balances, and the margin of its perpetuals.

Inferred: the collateral is USDC alone, free and not locked, with the open profit and loss of the
positions; the margin is that of the worse side if all open orders of a market were filled.
"""

from collections.abc import Mapping
from decimal import Decimal

from backpack_sandbox.account.margin import INITIAL_MARGIN
from backpack_sandbox.account.portfolio import QUOTE, Portfolio, reserve
from backpack_sandbox.market.book import Side
from backpack_sandbox.market.matching import MatchingEngine
from backpack_sandbox.market.orders import (
    Order,
    OrderRefusedError,
    OrderRequest,
    SelfTradePrevention,
)
from backpack_sandbox.market.perpetuals import mid_ticks


class Funds:
    """Reads the books and the portfolios; changes nothing."""

    def __init__(
        self, engines: Mapping[str, MatchingEngine], portfolios: Mapping[str, Portfolio]
    ) -> None:
        self._perpetuals = {s: e for s, e in engines.items() if e.market.market_type == "PERP"}
        self._portfolios = portfolios

    def check(self, engine: MatchingEngine, request: OrderRequest) -> None:
        """Raise OrderRefusedError when the account cannot pay for all of the order."""
        if engine.market.market_type == "PERP":
            self._check_margin(engine, request)
        else:
            self._check_spot(engine, request)

    def equity(self, account: str) -> Decimal:
        """Free USDC with the unrealised profit of every open position, at the marks."""
        portfolio = self._portfolios[account]
        profit = (p.unrealised(self.mark(p.symbol, p.entry_price)) for p in portfolio.positions())
        return portfolio.balance(QUOTE).available + sum(profit, Decimal(0))

    def initial_margin(self, account: str) -> Decimal:
        """What the positions and open orders of perpetuals bind, in USDC."""
        return sum((self._margin(e, account) for e in self._perpetuals.values()), Decimal(0))

    def mark(self, symbol: str, otherwise: Decimal) -> Decimal:
        """The mark price of a perpetual; `otherwise` while a side of its book is empty."""
        engine = self._perpetuals[symbol]
        ticks = mid_ticks(engine.book)
        return otherwise if ticks is None else engine.market.price_grid.value(ticks)

    def _check_spot(self, engine: MatchingEngine, request: OrderRequest) -> None:
        market, portfolio = engine.market, self._portfolios[request.account]
        if request.price is not None:
            asset, amount = reserve(market, request, request.quantity or 0)
        elif request.side is Side.BID:
            asset, amount = market.quote, _notional(engine, market_cost(engine, request))
        else:
            asset, amount = market.base, market.quantity_grid.value(market_steps(engine, request))
        free = portfolio.balance(asset).available
        if asset == QUOTE:
            bound = self.initial_margin(request.account)
            free = min(free, self.equity(request.account) - bound) if bound else free
        if amount > free:
            raise OrderRefusedError("INSUFFICIENT_FUNDS", "Insufficient funds")

    def _check_margin(self, engine: MatchingEngine, request: OrderRequest) -> None:
        if request.reduce_only:
            return
        account = request.account
        steps = market_steps(engine, request)
        now = self._margin(engine, account)
        after = self._margin(engine, account, extra=(request.side, steps))
        bound = self.initial_margin(account) - now + after
        if after > now and bound > self.equity(account):
            raise OrderRefusedError("INSUFFICIENT_MARGIN", "Insufficient margin")

    def _margin(
        self, engine: MatchingEngine, account: str, extra: tuple[Side, int] | None = None
    ) -> Decimal:
        """The initial margin of one market, with `extra` steps on one side."""
        market = engine.market
        position = self._portfolios[account].position(market.symbol)
        steps = {Side.BID: 0, Side.ASK: 0}
        for order in engine.open_orders(account):
            if not order.request.reduce_only:
                steps[order.request.side] += order.remaining
        if extra:
            steps[extra[0]] += extra[1]
        net = position.quantity if position else Decimal(0)
        value = market.quantity_grid.value
        worst = max(abs(net + value(steps[Side.BID])), abs(net - value(steps[Side.ASK])))
        if not worst:
            return Decimal(0)
        entry = position.entry_price if position else market.price
        return INITIAL_MARGIN.margin(worst * self.mark(market.symbol, entry))


def market_steps(engine: MatchingEngine, request: OrderRequest) -> int:
    """The most steps that an order can trade; one by quote quantity is measured on the book."""
    return request.quantity if request.quantity is not None else _walk(engine, request)[0]


def market_cost(engine: MatchingEngine, request: OrderRequest) -> int:
    """The most that a market order can cost, in tick x step counts."""
    if request.quote_quantity is not None:
        return request.quote_quantity
    return _walk(engine, request)[1]


def _walk(engine: MatchingEngine, request: OrderRequest) -> tuple[int, int]:
    """(steps, cost) of a market order against the book as it is.

    Own orders that self-trade prevention would take away do not count: the taker goes past them.
    """
    makers = request.side.opposite
    levels = engine.book.levels(makers)
    passed = _passed_over(engine.open_orders(request.account), request)
    steps = cost = 0
    for price, quantity in levels if makers is Side.ASK else reversed(levels):
        there = quantity - passed.get(price, 0)
        if request.quantity is not None:
            wanted = request.quantity - steps
        else:
            wanted = ((request.quote_quantity or 0) - cost) // price
        taken = min(there, wanted)
        steps += taken
        cost += taken * price
        if taken < there:
            break
    return steps, cost


def _passed_over(own: list[Order], request: OrderRequest) -> dict[int, int]:
    """Steps at each price that self-trade prevention would cancel before they match."""
    passed: dict[int, int] = {}
    if request.self_trade_prevention is SelfTradePrevention.REJECT_MAKER:
        for order in own:
            if order.request.side is not request.side and order.request.price is not None:
                price = order.request.price
                passed[price] = passed.get(price, 0) + order.remaining
    return passed


def _notional(engine: MatchingEngine, counts: int) -> Decimal:
    return engine.market.price_grid.unit * engine.market.quantity_grid.unit * counts
