"""The signed histories: orders, fills, funding, settlements and positions, in pages."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from aiohttp import web

from backpack_sandbox.account.accounts import Accounts
from backpack_sandbox.account.desk import TradingDesk
from backpack_sandbox.account.funding import FundingPayment
from backpack_sandbox.constants import HISTORY_PREFIX
from backpack_sandbox.market.catalog import Market
from backpack_sandbox.market.decimals import plain
from backpack_sandbox.market.orders import Order
from backpack_sandbox.rest import answers
from backpack_sandbox.rest.order_bodies import fill_body, history_body, naive_iso
from backpack_sandbox.rest.position_bodies import position_row, settlement_row
from backpack_sandbox.rest.position_history import PositionFold
from backpack_sandbox.rest.queries import (
    MarketType,
    Page,
    choice,
    market_types,
    optional_number,
    optional_text,
    order_number,
)
from backpack_sandbox.rest.signed import Call, Endpoint, Given, RequestRefusedError

NO_ORDER: Final = -1


class FillType(StrEnum):
    """Why a fill happened; here all are the user's own."""

    USER = "User"
    BOOK_LIQUIDATION = "BookLiquidation"
    ADL = "Adl"
    BACKSTOP = "Backstop"
    LIQUIDATION = "Liquidation"
    ALL_LIQUIDATION = "AllLiquidation"
    COLLATERAL_CONVERSION = "CollateralConversion"
    COLLATERAL_CONVERSION_AND_SPOT_LIQUIDATION = "CollateralConversionAndSpotLiquidation"


class PositionState(StrEnum):
    """Whether a position still is."""

    OPEN = "Open"
    CLOSED = "Closed"


@dataclass(frozen=True, slots=True)
class RowsWanted:
    """What is asked of a history. Each None, and no market type, means every row.

    `order_id` is NO_ORDER when the text given can be no order's. `never` when a filter matches
    nothing that there can be, such as a strategy's orders.
    """

    page: Page
    symbol: str | None
    market_types: Sequence[MarketType]
    order_id: int | None
    from_ms: int | None
    to_ms: int | None
    state: PositionState | None
    source: str | None
    never: bool


class HistoryRest:
    """Reads what the accounts did; rows newest first unless `sortDirection` is Asc."""

    def __init__(
        self, catalog: Mapping[str, Market], accounts: Accounts, desk: TradingDesk
    ) -> None:
        self._catalog = catalog
        self._accounts = accounts
        self._desk = desk

    def endpoints(self) -> list[Endpoint[Any]]:
        """Every history that can have rows."""
        handlers = {
            "orders": ("orderHistoryQueryAll", self.orders),
            "fills": ("fillHistoryQueryAll", self.fills),
            "funding": ("fundingHistoryQueryAll", self.fundings),
            "settlement": ("settlementHistoryQueryAll", self.settlements),
            "position": ("positionHistoryQueryAll", self.positions),
        }
        return [
            Endpoint(
                "GET", f"{HISTORY_PREFIX}/history/{name}", instruction, _read, answer, history=True
            )
            for name, (instruction, answer) in handlers.items()
        ]

    async def orders(self, call: Call[RowsWanted]) -> web.StreamResponse:
        """Orders, open ones too."""
        wanted = self._checked(call.value)
        records = self._accounts.history.orders(
            call.account, symbol=wanted.symbol, order_id=wanted.order_id
        )
        kept = [r for r in records if self._listed(wanted, r.order.symbol)]
        rows = wanted.page.cut(kept)
        return _page(wanted, len(kept), [history_body(self._market(r.order), r) for r in rows])

    async def fills(self, call: Call[RowsWanted]) -> web.StreamResponse:
        """Fills from `from` to `to` (ms), both included."""
        wanted = self._checked(call.value)
        records = self._accounts.history.fills(
            call.account,
            symbol=wanted.symbol,
            order_id=wanted.order_id,
            from_ms=wanted.from_ms,
            to_ms=wanted.to_ms,
        )
        kept = [r for r in records if self._listed(wanted, r.order.symbol)]
        rows = wanted.page.cut(kept)
        return _page(wanted, len(kept), [fill_body(self._market(r.order), r) for r in rows])

    async def fundings(self, call: Call[RowsWanted]) -> web.StreamResponse:
        """Funding payments; `quantity` in USDC, negative when paid."""
        wanted = self._checked(call.value)
        payments = self._accounts.history.fundings(call.account, symbol=wanted.symbol)
        kept = [] if wanted.never else payments
        return _page(wanted, len(kept), [_funding_body(p) for p in wanted.page.cut(kept)])

    async def settlements(self, call: Call[RowsWanted]) -> web.StreamResponse:
        """What fills of perpetuals settled: fees and realised profit."""
        wanted = self._checked(call.value)
        kept = [
            settlement
            for settlement in reversed(self._fold(call.account).settlements)
            if wanted.source in {None, settlement.source} and not wanted.never
        ]
        return _page(wanted, len(kept), [settlement_row(s) for s in wanted.page.cut(kept)])

    async def positions(self, call: Call[RowsWanted]) -> web.StreamResponse:
        """Positions, open ones too, by when they were opened."""
        wanted = self._checked(call.value)
        kept = [
            past
            for past in reversed(self._fold(call.account).positions)
            if wanted.symbol in {None, past.position.symbol}
            and self._listed(wanted, past.position.symbol)
            and wanted.state in {None, _state(closed=past.closed_us is not None)}
        ]
        mark = self._desk.funds.mark
        rows = [
            position_row(past, mark(past.position.symbol, past.position.entry_price))
            for past in wanted.page.cut(kept)
        ]
        return _page(wanted, len(kept), rows)

    def _fold(self, account: str) -> PositionFold:
        history = self._accounts.history
        return PositionFold.of(
            self._catalog,
            reversed(history.fills(account, market_type="PERP")),
            reversed(history.fundings(account)),
        )

    def _checked(self, wanted: RowsWanted) -> RowsWanted:
        if wanted.symbol is not None and wanted.symbol not in self._catalog:
            raise RequestRefusedError("INVALID_CLIENT_REQUEST", "Invalid market symbol")
        return wanted

    def _listed(self, wanted: RowsWanted, symbol: str) -> bool:
        kinds = wanted.market_types
        return not wanted.never and (not kinds or self._catalog[symbol].market_type in kinds)

    def _market(self, order: Order) -> Market:
        return self._catalog[order.symbol]


def _read(given: Given) -> RowsWanted:
    query = given.query
    order_id = optional_text(query, "orderId")
    fill_type = choice(query, "fillType", "FillType", FillType)
    number = None if order_id is None else order_number(order_id)
    return RowsWanted(
        page=Page.of(query),
        symbol=optional_text(query, "symbol"),
        market_types=market_types(query),
        order_id=NO_ORDER if order_id is not None and number is None else number,
        from_ms=optional_number(query, "from"),
        to_ms=optional_number(query, "to"),
        state=choice(query, "state", "PositionState", PositionState),
        source=optional_text(query, "source"),
        never="strategyId" in query or fill_type not in {None, FillType.USER},
    )


def _page(wanted: RowsWanted, total: int, rows: list[dict[str, Any]]) -> web.Response:
    return answers.json_answer(rows, headers=wanted.page.headers(total))


def _state(*, closed: bool) -> PositionState:
    return PositionState.CLOSED if closed else PositionState.OPEN


def _funding_body(payment: FundingPayment) -> dict[str, Any]:
    return {
        "fundingRate": plain(payment.rate),
        "intervalEndTimestamp": naive_iso(payment.interval_end_us),
        "quantity": plain(payment.amount),
        "subaccountId": 0,
        "symbol": payment.symbol,
        "userId": 101,
    }
