"""Holds the tapes of the fleet against what the venue says it published."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

type TradeKey = tuple[str, int]


@dataclass(frozen=True)
class TradeFacts:
    """What must agree between the venue and a tape."""

    price: Decimal
    amount: Decimal
    side: str


@dataclass(frozen=True)
class TradeAccount:
    """Trades by count. `altered` are on both sides with another price, amount or side."""

    published: int
    taped: int
    missing: tuple[TradeKey, ...]
    duplicated: tuple[TradeKey, ...]
    altered: tuple[TradeKey, ...]
    invented: tuple[TradeKey, ...]

    @property
    def exact(self) -> bool:
        """Whether every published trade is on the tapes once, unaltered, and nothing else is."""
        return not (self.missing or self.duplicated or self.altered or self.invented)


def account(
    published: Mapping[TradeKey, TradeFacts], taped: Sequence[tuple[TradeKey, TradeFacts]]
) -> TradeAccount:
    """Compare from each market's first taped trade on: before it, no feed was listening."""
    first: dict[str, int] = {}
    for (symbol, trade_id), _ in taped:
        first[symbol] = min(trade_id, first.get(symbol, trade_id))
    expected = {key: facts for key, facts in published.items() if key[1] >= first.get(key[0], 0)}
    seen = Counter(key for key, _ in taped)
    return TradeAccount(
        published=len(expected),
        taped=len(taped),
        missing=tuple(sorted(set(expected) - set(seen))),
        duplicated=tuple(sorted(key for key, times in seen.items() if times > 1)),
        altered=tuple(
            sorted({key for key, facts in taped if key in expected and expected[key] != facts})
        ),
        invented=tuple(sorted(set(seen) - set(published))),
    )


def published_trades(rows: Iterable[Mapping[str, Any]], symbol: str) -> dict[TradeKey, TradeFacts]:
    """Return the venue's trades of one market by (`symbol`, id), from its truth endpoint."""
    return {
        (symbol, int(row["id"])): TradeFacts(
            price=Decimal(row["price"]),
            amount=Decimal(row["quantity"]),
            side=row["side"],
        )
        for row in rows
    }


def taped_trades(tapes: Path) -> list[tuple[TradeKey, TradeFacts]]:
    """Read every trades.jsonl below `tapes`, in the order of each file."""
    return [
        (
            (row["symbol"], int(row["id"])),
            TradeFacts(Decimal(row["price"]), Decimal(row["amount"]), row["side"]),
        )
        for path in sorted(tapes.glob("*/trades.jsonl"))
        for row in map(json.loads, path.read_text().splitlines())
    ]
