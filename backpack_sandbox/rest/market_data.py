"""Every public endpoint but those of books and trades, as one table of routes."""

from collections.abc import Callable, Mapping
from typing import Protocol

from aiohttp import web

from backpack_sandbox.market.catalog import Market
from backpack_sandbox.market.matching import MatchingEngine
from backpack_sandbox.market.perpetuals import Perpetuals
from backpack_sandbox.rest.funding import FundingRates
from backpack_sandbox.rest.futures import FuturesRest
from backpack_sandbox.rest.klines import KlinesRest
from backpack_sandbox.rest.openapi import OpenApiRest
from backpack_sandbox.rest.reference import ReferenceRest
from backpack_sandbox.rest.service import ServiceRest
from backpack_sandbox.rest.stocks import StocksRest
from backpack_sandbox.rest.tickers import TickersRest
from backpack_sandbox.streams.day_statistics import DayStatistics
from backpack_sandbox.truth.ledger import Ledger


class _Part(Protocol):
    def routes(self) -> list[web.RouteDef]: ...


def market_data_routes(
    catalog: Mapping[str, Market],
    engines: Mapping[str, MatchingEngine],
    ledger: Ledger,
    *,
    days: Mapping[str, DayStatistics],
    perpetuals: Perpetuals,
    rates: FundingRates,
    clock: Callable[[], float],
    second: Callable[[], int],
) -> list[web.RouteDef]:
    """All routes. `clock` is unix seconds, `second` the model's whole seconds."""
    parts: list[_Part] = [
        KlinesRest(catalog, ledger, perpetuals, clock=clock, second=second),
        TickersRest(catalog, ledger, days, clock),
        FuturesRest(catalog, perpetuals, rates=rates, clock=clock, second=second),
        StocksRest(catalog, engines, clock),
        ReferenceRest(catalog),
        ServiceRest(clock),
        OpenApiRest(),
    ]
    return [route for part in parts for route in part.routes()]
