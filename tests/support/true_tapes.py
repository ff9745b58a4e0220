"""A ledger of two markets without a server, and the tapes that a perfect client makes of it."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from backpack_sandbox.market.book import Side
from backpack_sandbox.market.catalog import build_catalog
from backpack_sandbox.market.events import BookEvent, TopEvent, TradeEvent
from backpack_sandbox.market.model import MarketModel
from backpack_sandbox.streams.wire import WireEncoder
from backpack_sandbox.truth.ledger import Ledger, PublishedTrade
from backpack_sandbox.truth.store import TruthStore

CATALOG = build_catalog()
SYMBOLS = ("SOL_USDC", "kPEPE_USDC_PERP")
START_US = 1_790_000_000_000_000


@dataclass
class Published:
    """The ledger, and what clients got of it."""

    ledger: Ledger
    frames: list[bytes]
    books: dict[tuple[str, int], tuple[Any, Any]]
    """The engines' own books by (symbol, update id), after each step."""


@contextmanager
def publishing(folder: Path, steps: int, *, seed: int = 5) -> Iterator[Published]:
    """Run both markets for `steps` steps each, by turns, as the publisher does."""
    models = {
        symbol: MarketModel(CATALOG[symbol], seed=seed, events_per_second=10, trades_per_second=4)
        for symbol in SYMBOLS
    }
    ledger = Ledger(folder / "ledger.jsonl", TruthStore(folder / "truth.sqlite"))
    for symbol, model in models.items():
        state = model.engine.state()
        ledger.books.begin(symbol, state.bids, state.asks, state.last_update_id)
    published = Published(ledger, [], {})
    for step in range(steps):
        for symbol, model in models.items():
            _publish_step(published, symbol, model, START_US + step * 1000)
            engine = model.engine
            levels = engine.book.levels(Side.BID), engine.book.levels(Side.ASK)
            published.books[symbol, engine.last_update_id] = levels
    ledger.commit()
    with ledger:
        yield published


def _publish_step(published: Published, symbol: str, model: MarketModel, at_us: int) -> None:
    encoder, ledger = WireEncoder(CATALOG[symbol]), published.ledger
    for event in model.step():
        if isinstance(event, BookEvent):
            frame = encoder.depth(event, at_us, at_us)
            ledger.append_depth(event, frame)
        elif isinstance(event, TradeEvent):
            frame = encoder.trade(event, at_us, at_us)
            ledger.append_trade(PublishedTrade(event, at_us), frame)
        elif isinstance(event, TopEvent):
            frame = encoder.book_ticker(event, at_us, at_us)
            ledger.append(frame)
        else:
            continue
        published.frames.append(frame)


def feed_tape(published: Published) -> list[bytes]:
    """Trades and books as a feed writes them, the books only at the end of a step."""
    lines = []
    for frame in published.frames:
        data = json.loads(frame)["data"]
        if data["e"] == "trade":
            lines.append(_trade_line(data))
        elif data["e"] == "depth" and (data["s"], data["u"]) in published.books:
            lines.append(_book_line(data, *published.books[data["s"], data["u"]]))
    return [json.dumps(line).encode() for line in lines]


def wire_tape(published: Published) -> list[bytes]:
    """A REST book of each market, then every frame as received."""
    return [rest_book_line(published, symbol) for symbol in SYMBOLS] + published.frames


def rest_book_line(published: Published, symbol: str, update_id: int | None = None) -> bytes:
    """The book at `update_id` (default: the first) as a recorder wraps the answer of REST."""
    market, books = CATALOG[symbol], published.ledger.books
    number = books.span(symbol)[0] if update_id is None else update_id
    sides = books.book(symbol, number)
    assert sides is not None
    price, quantity = market.price_grid.normal, market.quantity_grid.normal
    bids, asks = ([[price(p), quantity(q)] for p, q in side] for side in sides)
    body = {"asks": asks, "bids": bids, "lastUpdateId": str(number), "timestamp": START_US}
    return json.dumps({"symbol": symbol, "depth": body}).encode()


def _trade_line(data: dict[str, Any]) -> dict[str, Any]:
    return {
        "channel": "trades",
        "instance_id": "one",
        "variant": "native",
        "symbol": data["s"].replace("_", "-"),
        "id": str(data["t"]),
        "side": "sell" if data["m"] else "buy",
        "price": data["p"],
        "amount": data["q"],
        "timestamp": data["T"] / 1_000_000,
        "receipt_timestamp": data["E"] / 1_000_000,
    }


def _book_line(data: dict[str, Any], bids: Any, asks: Any) -> dict[str, Any]:
    market = CATALOG[data["s"]]
    price, quantity = market.price_grid.value, market.quantity_grid.value

    def best(levels: Any) -> list[list[str]]:
        return [[_text(price(p)), _text(quantity(q))] for p, q in levels[:10]]

    return {
        "channel": "l2_book",
        "instance_id": "one",
        "variant": "native",
        "symbol": data["s"].replace("_", "-"),
        "sequence": data["u"],
        "bids": best(bids[::-1]),
        "asks": best(asks),
        "timestamp": data["T"] / 1_000_000,
        "receipt_timestamp": data["u"],
    }


def _text(value: Decimal) -> str:
    return format(value, "f")
