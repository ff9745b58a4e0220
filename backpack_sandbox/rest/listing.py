"""The static REST bodies: markets, assets and collateral."""

from typing import Any, Final

from backpack_sandbox.account.margin import INITIAL_MARGIN, MAINTENANCE_MARGIN
from backpack_sandbox.account.order_rules import PRICE_BANDS
from backpack_sandbox.market.catalog import Market

CREATED_AT: Final = "2025-01-21T06:34:54.691858"
FUNDING_INTERVAL_MS: Final = 3_600_000
SPOT_FUNDING_INTERVAL_MS: Final = 28_800_000
MARKET_TYPES: Final = frozenset({"SPOT", "PERP", "IPERP", "DATED", "PREDICTION", "RFQ"})
COLLATERAL: Final = {"USDC": "1"}
"""What counts as margin here, and how much of its value does."""


def market_body(market: Market) -> dict[str, Any]:
    """One market as `/markets` lists it; what does not apply is an explicit null."""
    perp = market.market_type == "PERP"
    return {
        "baseSymbol": market.base,
        "createdAt": CREATED_AT,
        "filters": {"price": _price_filters(market), "quantity": _quantity_filters(market)},
        "fundingInterval": _funding_interval_ms(market),
        "fundingRateLowerBound": f"-{market.funding_bound_bps}" if perp else None,
        "fundingRateUpperBound": f"{market.funding_bound_bps}" if perp else None,
        "imfFunction": INITIAL_MARGIN.body() if perp else None,
        "marketType": market.market_type,
        "mmfFunction": MAINTENANCE_MARGIN.body() if perp else None,
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
                "nativeDecimals": 9,
                "withdrawEnabled": True,
                "withdrawalFee": "0.1",
            }
        ],
    }


def collateral_body(symbol: str, weight: str) -> dict[str, Any]:
    """One asset as `/collateral` lists it."""
    return {
        "haircutFunction": {"kind": {"type": "identity"}, "weight": weight},
        "imfFunction": INITIAL_MARGIN.body(),
        "mmfFunction": MAINTENANCE_MARGIN.body(),
        "symbol": symbol,
    }


def _funding_interval_ms(market: Market) -> int | None:
    if market.market_type == "PERP":
        return FUNDING_INTERVAL_MS
    return SPOT_FUNDING_INTERVAL_MS if market.spot_funding else None


def _price_filters(market: Market) -> dict[str, Any]:
    perp = market.market_type == "PERP"
    trading_stock = perp and market.rwa is not None and market.state == "Open"
    lowest, highest = PRICE_BANDS["PERP" if perp else "SPOT"]
    bounds = {"maxMultiplier": "1.15", "minMultiplier": "0.85"}
    band = {"maxMultiplier": "1.04", "minMultiplier": "0.96"}
    return {
        "borrowEntryFeeMaxMultiplier": None if perp else "1.01",
        "borrowEntryFeeMinMultiplier": None if perp else "0.99",
        "discoveryBoundBand": bounds if trading_stock else None,
        "maxImpactMultiplier": "1.05" if perp else "1.01",
        "maxMultiplier": str(highest),
        "maxPrice": "1000000" if perp else None,
        "maxPriceUpdateMultiplier": "1.0025",
        "meanMarkPriceBand": band if perp else None,
        "meanPremiumBand": {"tolerancePct": "0.05"} if perp else None,
        "minImpactMultiplier": "0.95" if perp else "0.99",
        "minMultiplier": str(lowest),
        "minPrice": market.price_grid.text,
        "minPriceUpdateMultiplier": "0.9975",
        "tickSize": market.price_grid.text,
    }


def _quantity_filters(market: Market) -> dict[str, Any]:
    step = market.quantity_grid.text
    return {"maxQuantity": None, "minQuantity": step, "stepSize": step}
