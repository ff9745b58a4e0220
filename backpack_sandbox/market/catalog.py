"""The markets of the sandbox: a small profile of naming traps, and the real venue's whole list."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, Final, Literal

from backpack_sandbox.market.decimals import Grid

FIRST_TRADE_ID: Final = 99_500_000
FIRST_UPDATE_ID: Final = 4_400_000_000
FIRST_ORDER_ID: Final = 66_700_000_000
ID_STRIDE: Final = 10_000_000_000
"""Between the first ids of two markets: years of the busiest one, and all below 2^53."""
TYPICAL_ORDER_USDC: Final = 2_000
QUOTE: Final = "USDC"

type Profile = Literal["small", "venue"]
PROFILES: Final[tuple[Profile, ...]] = ("small", "venue")

_MARKETS_FILE: Final = Path(__file__).with_name("markets.toml")


@dataclass(frozen=True, kw_only=True, slots=True)
class Market:
    """One market: its wire names, its grids, and where its id counters start.

    `activity` scales the configured event rate. `price` is the first reference price in quote
    units. `funding_bound_bps` bounds a perpetual's funding rate on both sides; `spot_funding` marks
    the spot markets that carry a funding interval all the same.
    """

    symbol: str
    base: str
    quote: str
    market_type: str
    state: str
    visible: bool
    rwa: str | None
    price: Decimal
    price_grid: Grid
    quantity_grid: Grid
    activity: float
    first_trade_id: int
    first_update_id: int
    first_order_id: int
    funding_bound_bps: int = 100
    spot_funding: bool = False

    @property
    def has_book(self) -> bool:
        """A closed market answers 404 on /depth and stays silent on the socket."""
        return self.state != "Closed"

    @property
    def has_trades(self) -> bool:
        """Nothing may take liquidity in PostOnly."""
        return self.state == "Open"

    @property
    def typical_order_steps(self) -> int:
        """A usual order size as a count of quantity steps (at least 2)."""
        return max(2, int(TYPICAL_ORDER_USDC / self.price / self.quantity_grid.unit))


def build_catalog(profile: Profile = "small") -> Mapping[str, Market]:
    """The markets of a profile by venue symbol, in listing order; the same on every start.

    "small" is 23 markets, each with a trap of the real venue's naming or states; "venue" has as
    many markets of each type and state as the real one had when it was counted.
    """
    rows = tomllib.loads(_MARKETS_FILE.read_text())["markets"]
    markets = [_market(i, row, row[profile]) for i, row in enumerate(rows) if profile in row]
    return {market.symbol: market for market in markets}


def _market(index: int, row: Mapping[str, Any], activity: float) -> Market:
    base, kind, offset = row["base"], row["type"], index * ID_STRIDE
    return Market(
        symbol=f"{base}_{QUOTE}_PERP" if kind == "PERP" else f"{base}_{QUOTE}",
        base=base,
        quote=QUOTE,
        market_type=kind,
        state=row.get("state", "Open"),
        visible=row.get("visible", True),
        rwa=row.get("rwa"),
        price=Decimal(row["price"]),
        price_grid=Grid(row["tick"]),
        quantity_grid=Grid(row["step"]),
        activity=activity,
        first_trade_id=FIRST_TRADE_ID + offset,
        first_update_id=FIRST_UPDATE_ID + offset,
        first_order_id=FIRST_ORDER_ID + offset,
        funding_bound_bps=row.get("funding_bound_bps", 100),
        spot_funding=row.get("spot_funding", False),
    )
