"""What an account owns and may do: the same accounts as the private streams tell of."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import ROUND_DOWN, Decimal
from typing import Any, Final

from aiohttp import web

from backpack_sandbox.account.accounts import Accounts
from backpack_sandbox.account.desk import TradingDesk
from backpack_sandbox.account.fees import MAKER_RATE, TAKER_RATES
from backpack_sandbox.account.margin import INITIAL_MARGIN
from backpack_sandbox.constants import API_PREFIX
from backpack_sandbox.market.catalog import Market
from backpack_sandbox.market.decimals import plain
from backpack_sandbox.market.matching import MatchingEngine
from backpack_sandbox.rest import answers
from backpack_sandbox.rest.collateral import collateral_body
from backpack_sandbox.rest.order_limits import LimitWanted, OrderLimits, read_limit
from backpack_sandbox.rest.queries import MarketType, market_types, optional_text
from backpack_sandbox.rest.signed import Call, Endpoint, Given, RequestRefusedError
from backpack_sandbox.streams.account_frames import position_body

BASIS_POINTS: Final = 10_000


@dataclass(frozen=True, slots=True)
class PositionsWanted:
    """Which open positions are asked for; None and nothing mean every one."""

    symbol: str | None
    market_types: list[MarketType]


class AccountRest:
    """Reads the portfolios; changes nothing."""

    def __init__(
        self,
        catalog: Mapping[str, Market],
        engines: Mapping[str, MatchingEngine],
        accounts: Accounts,
        desk: TradingDesk,
    ) -> None:
        self._catalog = catalog
        self._accounts = accounts
        self._desk = desk
        self._limits = OrderLimits(engines, accounts, desk.funds)

    def endpoints(self) -> list[Endpoint[Any]]:
        """Every endpoint of balances, positions and limits."""
        return [
            Endpoint("GET", f"{API_PREFIX}/account", "accountQuery", _nothing, self.account),
            Endpoint("GET", f"{API_PREFIX}/capital", "balanceQuery", _nothing, self.capital),
            Endpoint(
                "GET",
                f"{API_PREFIX}/capital/collateral",
                "collateralQuery",
                _nothing,
                self.collateral,
            ),
            Endpoint("GET", f"{API_PREFIX}/position", "positionQuery", _positions, self.positions),
            Endpoint(
                "GET",
                f"{API_PREFIX}/account/limits/order",
                "maxOrderQuantity",
                read_limit,
                self.order_limit,
            ),
        ]

    async def account(self, call: Call[None]) -> web.StreamResponse:
        """Settings and fees; fees in basis points. Nothing is lent, borrowed or triggered here."""
        leverage = (1 / INITIAL_MARGIN.base).quantize(Decimal(1), ROUND_DOWN)
        return answers.json_answer(
            {
                "autoBorrowSettlements": False,
                "autoLend": False,
                "autoRealizePnl": True,
                "autoRepayBorrows": False,
                "borrowLimit": "0",
                "futuresMakerFee": plain(MAKER_RATE * BASIS_POINTS),
                "futuresTakerFee": plain(TAKER_RATES["PERP"] * BASIS_POINTS),
                "leverageLimit": plain(leverage),
                "limitOrders": len(self._desk.open_orders(call.account)),
                "liquidating": False,
                "positionLimit": "10000000",
                "spotMakerFee": plain(MAKER_RATE * BASIS_POINTS),
                "spotTakerFee": plain(TAKER_RATES["SPOT"] * BASIS_POINTS),
                "triggerOrders": 0,
            }
        )

    async def capital(self, call: Call[None]) -> web.StreamResponse:
        """Balances as of the last `account.balanceUpdate`."""
        return answers.json_answer(
            {
                balance.asset: {
                    "available": plain(balance.available),
                    "locked": plain(balance.locked),
                    "staked": "0",
                }
                for balance in self._accounts[call.account].balances()
            }
        )

    async def collateral(self, call: Call[None]) -> web.StreamResponse:
        """What counts as margin: USDC alone."""
        portfolio, funds = self._accounts[call.account], self._desk.funds
        return answers.json_answer(
            collateral_body(portfolio, funds, funds.initial_margin(call.account))
        )

    async def positions(self, call: Call[PositionsWanted]) -> web.StreamResponse:
        """The open positions, or that of `symbol`: 404 when it has none."""
        wanted = call.value
        if wanted.symbol is not None and wanted.symbol not in self._catalog:
            raise RequestRefusedError("INVALID_CLIENT_REQUEST", "Invalid market symbol")
        found = [
            position_body(position, self._desk.funds.mark(position.symbol, position.entry_price))
            for position in self._accounts[call.account].positions()
            if wanted.symbol in {None, position.symbol}
            and (not wanted.market_types or MarketType.PERP in wanted.market_types)
        ]
        if wanted.symbol is not None and not found:
            raise RequestRefusedError("RESOURCE_NOT_FOUND", "Not Found")
        return answers.json_answer(found)

    async def order_limit(self, call: Call[LimitWanted]) -> web.StreamResponse:
        """The most that an order on one side could be."""
        return answers.json_answer(self._limits.body(call.account, call.value))


def _nothing(_given: Given) -> None:
    """No parameter that matters."""


def _positions(given: Given) -> PositionsWanted:
    return PositionsWanted(optional_text(given.query, "symbol"), market_types(given.query))
