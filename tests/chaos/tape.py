"""What a feed process has written, as it can be compared."""

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

from backpack_sandbox.truth.market_truth import TradeRow
from tests.chaos.truth import time_us
from tests.support.handler_process import tape_lines


def taped_books(folder: Path) -> list[dict[str, Any]]:
    """Every whole line of the books tape."""
    lines = (folder / "tape" / "books.jsonl").read_bytes().split(b"\n")[:-1]
    return [json.loads(line) for line in lines]


def taped_trades(folder: Path) -> dict[str, list[TradeRow]]:
    """Per symbol in tape order; ccxt gives the event's time, so that one is left out."""
    taped: dict[str, list[TradeRow]] = {}
    for line in tape_lines(folder):
        taped.setdefault(line["symbol"], []).append(
            TradeRow(
                int(line["id"]),
                line["side"],
                Decimal(line["price"]),
                Decimal(line["amount"]),
                time_us(line["timestamp"]) if line["variant"] == "native" else None,
            )
        )
    return taped


def taped_last_ids(folder: Path) -> dict[str, int]:
    """The newest taped id of each symbol."""
    return {symbol: rows[-1][0] for symbol, rows in taped_trades(folder).items()}
