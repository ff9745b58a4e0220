"""Every signed endpoint of table 7.3, behind one gate."""

from collections.abc import Callable, Mapping

from aiohttp import web

from backpack_sandbox.account.accounts import Accounts
from backpack_sandbox.account.desk import TradingDesk
from backpack_sandbox.market.catalog import Market
from backpack_sandbox.market.matching import MatchingEngine
from backpack_sandbox.rest.account import AccountRest
from backpack_sandbox.rest.history import HistoryRest
from backpack_sandbox.rest.orders import OrdersRest
from backpack_sandbox.rest.signed import SignedGate
from backpack_sandbox.rest.unmodelled import unmodelled_endpoints


def signed_routes(
    gate: SignedGate,
    catalog: Mapping[str, Market],
    engines: Mapping[str, MatchingEngine],
    accounts: Accounts,
    desk: TradingDesk,
    *,
    taker_delay_seconds: float,
    cancel_accepted: Callable[[], bool],
) -> list[web.RouteDef]:
    """The routes; `cancel_accepted` is asked at each cancel."""
    orders = OrdersRest(
        catalog,
        desk,
        accounts.history,
        taker_delay_seconds=taker_delay_seconds,
        cancel_accepted=cancel_accepted,
    )
    endpoints = [
        *AccountRest(catalog, engines, accounts, desk).endpoints(),
        *orders.endpoints(),
        *HistoryRest(catalog, accounts, desk).endpoints(),
        *unmodelled_endpoints(),
    ]
    return [gate.route(endpoint) for endpoint in endpoints]
