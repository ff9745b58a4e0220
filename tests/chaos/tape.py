"""What a feed process has written, as it can be compared."""

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

from tests.chaos.checker import TradeRow
from tests.support.handler_process import tape_lines


def taped_books(folder: Path) -> list[dict[str, Any]]:
    """Every whole line of the books tape."""
    lines = (folder / "tape" / "books.jsonl").read_bytes().split(b"\n")[:-1]
    return [json.loads(line) for line in lines]


def side(levels: list[list[str]]) -> dict[Decimal, Decimal]:
    """Price → amount of one side of a taped book."""
    return {Decimal(price): Decimal(amount) for price, amount in levels}


def taped_trades(folder: Path) -> dict[str, list[TradeRow]]:
    """Per symbol in tape order; ccxt gives the event's time, so that one is left out."""
    taped: dict[str, list[TradeRow]] = {}
    for line in tape_lines(folder):
        taped.setdefault(line["symbol"], []).append(
            (
                int(line["id"]),
                line["side"],
                Decimal(line["price"]),
                Decimal(line["amount"]),
                line["timestamp"] if line["variant"] == "native" else None,
            )
        )
    return taped


def taped_last_ids(folder: Path) -> dict[str, int]:
    """The newest taped id of each symbol."""
    return {symbol: rows[-1][0] for symbol, rows in taped_trades(folder).items()}
