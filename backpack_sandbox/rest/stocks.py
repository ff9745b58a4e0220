"""The endpoints of tokenised shares (shapes second hand, from clients)."""

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, Final

from aiohttp import web

from backpack_sandbox.constants import API_PREFIX
from backpack_sandbox.market.book import Side
from backpack_sandbox.market.catalog import Market
from backpack_sandbox.market.decimals import plain
from backpack_sandbox.market.matching import MatchingEngine
from backpack_sandbox.market.stock_calendar import HOLIDAYS, SESSIONS, session_at
from backpack_sandbox.rest import answers, parameters

STOCK: Final = "STOCK"
SIDES: Final = {"Bid": Side.ASK, "Ask": Side.BID}
"""Side of the request to the side of the book that it meets."""
MIN_QUANTITY: Final = "0.01"
MAX_QUANTITY: Final = "10000"
NO_CUSIP: Final = "000000000"
SLIPPAGE: Final = Decimal("0.005")


class StocksRest:
    """Reads the catalogue and the books of the shares' markets. `clock` is unix seconds."""

    def __init__(
        self,
        catalog: Mapping[str, Market],
        engines: Mapping[str, MatchingEngine],
        clock: Callable[[], float],
    ) -> None:
        self._engines = engines
        self._clock = clock
        stocks = [market for market in catalog.values() if market.rwa == STOCK]
        self._markets = {market.base: market for market in reversed(stocks)}

    def routes(self) -> list[web.RouteDef]:
        """Every endpoint of shares."""
        handlers = {
            "securities": self.securities,
            "stockSessions": self.sessions,
            "stockHolidays": self.holidays,
            "stockIndicativeQuote": self.indicative_quote,
        }
        return [web.get(f"{API_PREFIX}/{path}", handler) for path, handler in handlers.items()]

    async def securities(self, _request: web.Request) -> web.Response:
        """Every share that has a market here."""
        bodies = [
            {
                "asset": asset,
                "cusip": NO_CUSIP,
                "name": asset.removesuffix(".US"),
                "sessions": [_session_quantities(session.name) for session in SESSIONS],
            }
            for asset in sorted(self._markets)
        ]
        return answers.json_answer(bodies, cache=answers.MARKETS_CACHE)

    async def sessions(self, _request: web.Request) -> web.Response:
        """The daily spans of trading, in the exchange's local time."""
        return answers.json_answer([session.body() for session in SESSIONS])

    async def holidays(self, _request: web.Request) -> web.Response:
        """The days without a session."""
        return answers.json_answer([holiday.body() for holiday in HOLIDAYS])

    async def indicative_quote(self, request: web.Request) -> web.Response:
        """What a share would cost (Bid) or bring (Ask) now; unavailable outside the sessions."""
        symbol = parameters.text(request.query, "symbol")
        side = parameters.choice(request.query, "side", "Side", SIDES)
        parameters.positive_decimal(request.query, "quantity")
        market = self._markets.get(symbol)
        if market is None:
            return answers.unknown_symbol()
        session = session_at(self._clock())
        touch = self._touch(market, SIDES[side]) if session else None
        reason = None if touch else "No quote is available"
        worst = 1 + SLIPPAGE if side == "Bid" else 1 - SLIPPAGE
        return answers.json_answer(
            {
                "available": touch is not None,
                "estimatedPrice": plain(touch) if touch else None,
                "price": plain(touch * worst) if touch else None,
                "publishedAt": int(self._clock() * 1000),
                "quantityFilter": _quantities() if session else None,
                "reason": reason if session else "Market is closed",
                "session": session.name if session else None,
                "side": side,
                "symbol": symbol,
            }
        )

    def _touch(self, market: Market, side: Side) -> Decimal | None:
        engine = self._engines.get(market.symbol)
        best = engine.book.best_price(side) if engine else None
        return None if best is None else market.price_grid.value(best)


def _quantities() -> dict[str, Any]:
    return {"maxQuantity": MAX_QUANTITY, "minQuantity": MIN_QUANTITY, "stepSize": MIN_QUANTITY}


def _session_quantities(name: str) -> dict[str, Any]:
    return dict(sorted({"name": name, **_quantities()}.items()))
