"""The markets of the sandbox, each with a trap of the real venue's naming or states."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from backpack_sandbox.market.decimals import Grid

FIRST_TRADE_ID: Final = 99_500_000
FIRST_UPDATE_ID: Final = 4_400_000_000
FIRST_ORDER_ID: Final = 66_700_000_000
ID_STRIDE: Final = 10_000_000
TYPICAL_ORDER_USDC: Final = 2_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Market:
    """One market: its wire names, its grids, and where its id counters start.

    `activity` scales the configured event rate. `price` is the first reference price in quote
    units.
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


def build_catalog() -> Mapping[str, Market]:
    """All markets by venue symbol, in listing order; the same on every start."""
    markets = [_market(index, row) for index, row in enumerate(_ROWS)]
    return {market.symbol: market for market in markets}


def _market(index: int, row: tuple[Any, ...]) -> Market:
    base, kind, price, tick, step, activity, *extra = row
    flags: dict[str, Any] = extra[0] if extra else {}
    offset = index * ID_STRIDE
    return Market(
        symbol=f"{base}_USDC_PERP" if kind == "PERP" else f"{base}_USDC",
        base=base,
        quote="USDC",
        market_type=kind,
        state=flags.get("state", "Open"),
        visible=flags.get("visible", True),
        rwa=flags.get("rwa"),
        price=Decimal(price),
        price_grid=Grid(tick),
        quantity_grid=Grid(step),
        activity=activity,
        first_trade_id=FIRST_TRADE_ID + offset,
        first_update_id=FIRST_UPDATE_ID + offset,
        first_order_id=FIRST_ORDER_ID + offset,
    )


# base, type, price, tick, step, activity, flags
_ROWS: Final[tuple[tuple[Any, ...], ...]] = (
    ("SOL", "SPOT", "98.96", "0.01", "0.01", 1.0),
    ("BTC", "SPOT", "86650.3", "0.1", "0.00001", 1.2),
    ("ETH", "SPOT", "2710.02", "0.01", "0.0001", 1.1),
    ("USDT", "SPOT", "1.0003", "0.0001", "1", 0.8),
    ("BONK", "SPOT", "0.000024117", "0.000000001", "10000", 0.8),
    ("SOL", "PERP", "98.94", "0.01", "0.01", 1.2),
    ("BTC", "PERP", "86646.2", "0.1", "0.00001", 1.4),
    ("ETH", "PERP", "2709.87", "0.01", "0.0001", 1.3),
    ("kPEPE", "PERP", "0.004931", "0.000001", "100", 1.0),
    ("kBONK", "PERP", "0.024117", "0.000001", "100", 0.9),
    ("0G", "PERP", "1.0842", "0.0001", "0.1", 0.9),
    ("AAPL.US", "PERP", "251.10", "0.01", "0.01", 0.9, {"rwa": "STOCK"}),
    ("XRP", "PERP", "2.4127", "0.0001", "0.1", 1.0),
    ("DOGE", "PERP", "0.17422", "0.00001", "1", 1.0),
    ("SUI", "PERP", "2.0551", "0.0001", "0.1", 1.0),
    ("HYPE", "PERP", "39.412", "0.001", "0.01", 1.0),
    ("AVAX", "PERP", "17.533", "0.001", "0.01", 0.9),
    ("LINK", "PERP", "15.208", "0.001", "0.01", 0.9),
    ("ADA", "PERP", "0.5561", "0.0001", "1", 0.9),
    ("ZORA", "PERP", "0.06114", "0.00001", "1", 0.8, {"visible": False}),
    (
        "MSFT.US",
        "PERP",
        "498.20",
        "0.01",
        "0.01",
        0.3,
        {"state": "PostOnly", "visible": False, "rwa": "STOCK"},
    ),
    ("HNT", "SPOT", "2.411", "0.001", "0.1", 0.0, {"state": "Closed"}),
    ("TON", "PERP", "2.1101", "0.0001", "1", 0.0, {"state": "Closed"}),
)
