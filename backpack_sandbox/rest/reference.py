"""The public endpoints about assets, lending, vaults and predictions.

Nothing is lent, vaulted or deposited here, so most of these lists are truthfully empty.
"""

from collections.abc import Mapping
from typing import Any, Final

from aiohttp import web

from backpack_sandbox.constants import API_PREFIX
from backpack_sandbox.market.catalog import Market
from backpack_sandbox.rest import answers, parameters
from backpack_sandbox.rest.listing import COLLATERAL, asset_body, collateral_body
from backpack_sandbox.rest.parameters import UINT64
from backpack_sandbox.rest.predictions import EVENT_SLUG, PREDICTION, TAG, event_body

LENDING_INTERVALS: Final = frozenset({"1d", "1w", "1month", "1year"})
PAGE_DEFAULT: Final = 100
PAGE_MAX: Final = 1000
BOOLEANS: Final = frozenset({"true", "false"})


class ReferenceRest:
    """Answers from the catalogue alone."""

    def __init__(self, catalog: Mapping[str, Market]) -> None:
        self._catalog = catalog

    def routes(self) -> list[web.RouteDef]:
        """Every endpoint about what is not traded."""
        handlers = {
            "assets": self.assets,
            "collateral": self.collateral,
            "prediction": self.prediction,
            "prediction/tags": self.prediction_tags,
            "borrowLend/markets": self.nothing,
            "borrowLend/markets/history": self.lending_history,
            "borrowLend/apy": self.yields,
            "vaults": self.nothing,
            "wallets": self.nothing,
        }
        return [web.get(f"{API_PREFIX}/{path}", handler) for path, handler in handlers.items()]

    async def assets(self, _request: web.Request) -> web.Response:
        """Every base and quote asset of the catalogue."""
        symbols = {market.base for market in self._catalog.values()} | {"USDC"}
        bodies = [asset_body(symbol) for symbol in sorted(symbols)]
        return answers.json_answer(bodies, cache=answers.MARKETS_CACHE)

    async def collateral(self, _request: web.Request) -> web.Response:
        """What counts as margin."""
        return answers.json_answer([collateral_body(*item) for item in COLLATERAL.items()])

    async def prediction(self, request: web.Request) -> web.Response:
        """The one prediction event, when it fits the filters."""
        query = request.query
        limit, offset = _page(request)
        resolved = parameters.optional_choice(query, "resolved", "boolean", BOOLEANS)
        wanted = {
            "symbol": PREDICTION.symbol,
            "tagSlug": TAG["slug"],
            "eventSlug": EVENT_SLUG,
            "seriesSlug": None,
        }
        fits = resolved != "true" and all(
            query.get(name, value) == value for name, value in wanted.items()
        )
        return _paged([event_body()] if fits else [], limit, offset)

    async def prediction_tags(self, request: web.Request) -> web.Response:
        """The tags of the prediction events."""
        return _paged([TAG], *_page(request))

    async def lending_history(self, request: web.Request) -> web.Response:
        """Nothing was ever lent."""
        parameters.choice(
            request.query, "interval", "BorrowLendMarketHistoryInterval", LENDING_INTERVALS
        )
        return answers.json_answer([])

    async def yields(self, _request: web.Request) -> web.Response:
        """Nothing is lent or staked."""
        return answers.json_answer({"borrowLend": [], "staking": []})

    async def nothing(self, _request: web.Request) -> web.Response:
        """There is none of it here."""
        return answers.json_answer([])


def _page(request: web.Request) -> tuple[int, int]:
    limit = parameters.integer(
        request.query, "limit", UINT64, default=PAGE_DEFAULT, maximum=PAGE_MAX
    )
    return limit, parameters.integer(request.query, "offset", UINT64, default=0)


def _paged(rows: list[Any], limit: int, offset: int) -> web.Response:
    page = rows[min(offset, len(rows)) :][:limit]
    return answers.json_answer(page, headers=answers.paging_headers(len(rows), limit, offset))
