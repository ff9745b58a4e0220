"""Venue symbols ↔ cryptofeed's names (protocol section 3). Pure."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from cryptofeed.defines import PERPETUAL, SPOT
from cryptofeed.symbols import Symbol

from backpack_feed.wire.bounds import is_price
from backpack_feed.wire.messages import MarketRow

_KINDS: Final = {"SPOT": SPOT, "PERP": PERPETUAL}


@dataclass(frozen=True)
class SymbolTable:
    """Names of the supported markets, and how many rows of which type were skipped.

    `to_venue`: `SOL-USDC-PERP` → `SOL_USDC_PERP`. `states`: venue symbol → order book state.
    `kinds`: name → cryptofeed's `spot` or `perpetual`. `tick_sizes` and `steps`: name → smallest
    step of the price and of the quantity in base units, as far as the venue told them.
    """

    to_venue: dict[str, str]
    states: dict[str, str] = field(default_factory=dict)
    skipped: dict[str, int] = field(default_factory=dict)
    kinds: dict[str, str] = field(default_factory=dict)
    tick_sizes: dict[str, Decimal] = field(default_factory=dict)
    steps: dict[str, Decimal] = field(default_factory=dict)

    @classmethod
    def known(cls, to_venue: dict[str, str], info: dict[str, Any]) -> "SymbolTable":
        """Return the table of cryptofeed's own list of symbols and its `info()`."""
        return cls(
            to_venue=dict(to_venue),
            kinds=dict(info.get("instrument_type", {})),
            tick_sizes={k: Decimal(str(v)) for k, v in info.get("tick_size", {}).items()},
            steps={k: Decimal(str(v)) for k, v in info.get("step", {}).items()},
        )

    def merged(self, newer: "SymbolTable") -> "SymbolTable":
        """Return both tables in one; what the newer one lacks stays as it was.

        A short answer of the venue must not take markets away from those who subscribed them.
        """
        return SymbolTable(
            to_venue=self.to_venue | newer.to_venue,
            states=self.states | newer.states,
            skipped=newer.skipped,
            kinds=self.kinds | newer.kinds,
            tick_sizes=self.tick_sizes | newer.tick_sizes,
            steps=self.steps | newer.steps,
        )

    def info(self) -> dict[str, dict[str, Any]]:
        """Return what `Feed.info()` tells of each symbol, in cryptofeed's manner by property."""
        return {
            "instrument_type": dict(self.kinds),
            "tick_size": dict(self.tick_sizes),
            "step": dict(self.steps),
        }


def market_name(row: MarketRow) -> str | None:
    """Return cryptofeed's name of a market, or None for a type that cryptofeed cannot name.

    Built from base, quote and type: the wire symbol may contain dots and a lower-case k.
    """
    kind = _KINDS.get(row.market_type)
    if kind is None:
        return None
    return str(Symbol(row.base, row.quote, type=kind).normalized)


def symbol_table(rows: Iterable[MarketRow]) -> SymbolTable:
    """Name every supported market of `/markets`; hidden and closed ones included."""
    table = SymbolTable({})
    for row in rows:
        name = market_name(row)
        if name is None:
            table.skipped[row.market_type] = table.skipped.get(row.market_type, 0) + 1
            continue
        table.to_venue[name] = row.symbol
        table.states[row.symbol] = row.state
        table.kinds[name] = _KINDS[row.market_type]
        for steps, group, key in (
            (table.tick_sizes, "price", "tickSize"),
            (table.steps, "quantity", "stepSize"),
        ):
            step = _step(row.filters, group, key)
            if step is not None:
                steps[name] = step
    return table


def _step(filters: dict[str, Any], group: str, key: str) -> Decimal | None:
    # drift in a filter must not cost the market
    content = filters.get(group)
    try:
        step = Decimal(str(content[key])) if isinstance(content, dict) else None
    except (KeyError, InvalidOperation):
        return None
    return step if step is not None and is_price(step) else None
