"""The static REST bodies: markets and assets."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from backpack_sandbox.market.catalog import Market

CREATED_AT: Final = "2025-01-21T06:34:54.691858"
FUNDING_INTERVAL_MS: Final = 3_600_000


@dataclass(frozen=True, slots=True)
class MarginFunction:
    """The venue's `sqrt` function of a position's notional."""

    base: Decimal
    factor: Decimal


INITIAL_MARGIN: Final = MarginFunction(Decimal("0.01333333"), Decimal("0.00002494"))
MAINTENANCE_MARGIN: Final = MarginFunction(Decimal("0.008"), Decimal("0.00001496"))


def market_body(market: Market) -> dict[str, Any]:
    """One market as `/markets` lists it; what does not apply is an explicit null."""
    perp = market.market_type == "PERP"
    return {
        "baseSymbol": market.base,
        "createdAt": CREATED_AT,
        "filters": {"price": _price_filters(market), "quantity": _quantity_filters(market)},
        "fundingInterval": FUNDING_INTERVAL_MS if perp else None,
        "fundingRateLowerBound": "-100" if perp else None,
        "fundingRateUpperBound": "100" if perp else None,
        "imfFunction": margin_body(INITIAL_MARGIN) if perp else None,
        "marketType": market.market_type,
        "mmfFunction": margin_body(MAINTENANCE_MARGIN) if perp else None,
        "openInterestLimit": "4000" if perp else "0",
        "orderBookState": market.state,
        "positionLimitWeight": "1" if perp else None,
        "quoteSymbol": market.quote,
        "rwaMarketType": market.rwa,
        "symbol": market.symbol,
        "visible": market.visible,
    }


def asset_body(symbol: str) -> dict[str, Any]:
    """One asset as `/assets` lists it."""
    return {
        "coingeckoId": None,
        "displayName": symbol,
        "symbol": symbol,
        "tokens": [
            {
                "blockchain": "Solana",
                "contractAddress": None,
                "depositEnabled": True,
                "displayName": symbol,
                "maximumWithdrawal": None,
                "minimumDeposit": "0.1",
                "minimumWithdrawal": "0.2",
                "withdrawEnabled": True,
                "withdrawalFee": "0.1",
            }
        ],
    }


def margin_body(function: MarginFunction) -> dict[str, str]:
    """A margin function as markets and positions carry it."""
    return {"base": str(function.base), "factor": str(function.factor), "type": "sqrt"}


def _price_filters(market: Market) -> dict[str, Any]:
    perp = market.market_type == "PERP"
    trading_stock = market.rwa is not None and market.state == "Open"
    bounds = {"maxMultiplier": "1.15", "minMultiplier": "0.85"}
    band = {"maxMultiplier": "1.04", "minMultiplier": "0.96"}
    return {
        "borrowEntryFeeMaxMultiplier": None if perp else "1.01",
        "borrowEntryFeeMinMultiplier": None if perp else "0.99",
        "discoveryBoundBand": bounds if trading_stock else None,
        "maxImpactMultiplier": "1.05" if perp else "1.01",
        "maxMultiplier": "1.25" if perp else "2",
        "maxPrice": "1000000" if perp else None,
        "maxPriceUpdateMultiplier": "1.0025",
        "meanMarkPriceBand": band if perp else None,
        "meanPremiumBand": {"tolerancePct": "0.05"} if perp else None,
        "minImpactMultiplier": "0.95" if perp else "0.99",
        "minMultiplier": "0.75" if perp else "0.25",
        "minPrice": market.price_grid.text,
        "minPriceUpdateMultiplier": "0.9975",
        "tickSize": market.price_grid.text,
    }


def _quantity_filters(market: Market) -> dict[str, Any]:
    step = market.quantity_grid.text
    return {"maxQuantity": None, "minQuantity": step, "stepSize": step}
