"""The prediction market: the venue lists it in some answers and not in others.

It is in `/openInterest` and not in a `/markets` without a `marketType`. It has no flow here: an
empty book, no trades, a fixed mark price.
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

from backpack_sandbox.market.catalog import Market
from backpack_sandbox.market.decimals import Grid, plain

TAG: Final = {"slug": "crypto", "title": "Crypto"}
EVENT_SLUG: Final = "fdv-one-day-after-launch"

PREDICTION: Final = Market(
    symbol="FDVEXTD1B_USDC_PREDICTION",
    base="FDVEXTD1B",
    quote="USDC",
    market_type="PREDICTION",
    state="Open",
    visible=True,
    rwa=None,
    price=Decimal("0.42"),
    price_grid=Grid("0.01"),
    quantity_grid=Grid("1"),
    activity=0.0,
    first_trade_id=0,
    first_update_id=0,
    first_order_id=0,
)
PREDICTIONS: Final[dict[str, Market]] = {PREDICTION.symbol: PREDICTION}


def find_market(catalog: Mapping[str, Market], symbol: str) -> Market | None:
    """Any market that a request may name, listed or not."""
    return catalog.get(symbol) or PREDICTIONS.get(symbol)


def mark_body() -> dict[str, Any]:
    """Its row of `/markPrices`: neither funding nor an index."""
    return {"markPrice": plain(PREDICTION.price), "symbol": PREDICTION.symbol}


def event_body() -> dict[str, Any]:
    """Its row of `/prediction`: the event, with its one market."""
    return {
        "description": None,
        "estimatedEndDate": None,
        "imgUrl": None,
        "predictionMarkets": [
            {
                "activePrice": plain(PREDICTION.price),
                "groupLabel": None,
                "imgUrl": None,
                "marketSymbol": PREDICTION.symbol,
                "noOutcomeLabel": "No",
                "proposedResolution": None,
                "proposedResolutionAt": None,
                "question": "Above 1B one day after launch?",
                "quoteVolume": "0",
                "quoteVolumeLifetime": "0",
                "resolutionCondition": None,
                "resolutionPrice": None,
                "resolvedAt": None,
                "rules": None,
                "yesOutcomeLabel": "Yes",
            }
        ],
        "quoteVolume": "0",
        "resolution": None,
        "resolved": False,
        "series": [],
        "slug": EVENT_SLUG,
        "tags": [TAG],
        "title": "Fully diluted value one day after launch",
    }
