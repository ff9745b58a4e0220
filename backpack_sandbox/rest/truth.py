"""The truth on demand, under /sandbox/truth: trades, ids, books, changes, frames and accounts."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from itertools import islice
from typing import Any, Final

import msgspec
from aiohttp import web

from backpack_sandbox.account.accounts import Accounts
from backpack_sandbox.account.funding import FUNDING_LINES
from backpack_sandbox.constants import CONTROL_PREFIX, LIQUIDATION, ORDER_UPDATE
from backpack_sandbox.errors import SandboxError
from backpack_sandbox.market.book import Level
from backpack_sandbox.market.catalog import Market
from backpack_sandbox.market.matching import MatchingEngine
from backpack_sandbox.rest import answers
from backpack_sandbox.rest.in_turns import in_turns
from backpack_sandbox.rest.tape_upload import check_upload
from backpack_sandbox.rest.truth_accounts import account_body
from backpack_sandbox.rest.truth_queries import TruthQuery
from backpack_sandbox.truth.ledger import Ledger, PublishedTrade
from backpack_sandbox.truth.ledger_pages import STREAM_IDS, read_page

PREFIX: Final = f"{CONTROL_PREFIX}/truth"
TRADES_MAX: Final = 100_000
CHANGES_MAX: Final = 10_000
FRAMES_MAX: Final = 10_000
WHOLE_STREAMS: Final = (LIQUIDATION, ORDER_UPDATE, FUNDING_LINES)
"""Of all markets, in one stream."""
TRUNCATED_HEADER: Final = "X-Truncated"
PLACE_HEADER: Final = "X-Next-Place"

type Handler = Callable[[web.Request], Awaitable[web.Response]]


class TruthRest:
    """What tests, checkers and reports ask of the venue; no exchange has these.

    Every answer is bounded: `limit` has a most, and what is left out can be asked for next.
    """

    def __init__(
        self,
        catalog: Mapping[str, Market],
        engines: Mapping[str, MatchingEngine],
        ledger: Ledger,
        accounts: Accounts,
    ) -> None:
        self._catalog = catalog
        self._engines = engines
        self._ledger = ledger
        self._accounts = accounts

    def routes(self) -> list[web.RouteDef]:
        """Every truth endpoint; a bad parameter is a 400 with one sentence."""
        return [
            web.get(f"{PREFIX}/trades", _plain(self.trades)),
            web.get(f"{PREFIX}/last_ids", _plain(self.last_ids)),
            web.get(f"{PREFIX}/book", _plain(self.book)),
            web.get(f"{PREFIX}/deltas", _plain(self.deltas)),
            web.get(f"{PREFIX}/frames", _plain(self.frames)),
            web.get(f"{PREFIX}/account", _plain(self.account)),
            web.post(f"{PREFIX}/check", _plain(self.check)),
        ]

    async def trades(self, request: web.Request) -> web.Response:
        """Trades of `symbol` (may repeat; default: all markets) from `from_id` on, oldest first."""
        query = TruthQuery(request, "symbol", "from_id", "limit")
        symbols = query.symbols(self._catalog)
        from_id = query.whole("from_id", 0)
        limit = query.whole("limit", TRADES_MAX, most=TRADES_MAX)
        rows = (
            _trade_body(self._catalog[symbol], trade)
            for symbol in symbols
            for trade in self._ledger.trades_since(symbol, from_id)
        )
        return await _listed(rows, limit)

    async def last_ids(self, request: web.Request) -> web.Response:
        """The newest trade id and update id of every market with a book."""
        TruthQuery(request)
        return answers.json_answer(
            {
                symbol: {"trade_id": engine.last_trade_id, "update_id": engine.last_update_id}
                for symbol, engine in self._engines.items()
            }
        )

    async def book(self, request: web.Request) -> web.Response:
        """The whole book of `symbol` right after update `id` (default: now); 404 when unknown."""
        query = TruthQuery(request, "symbol", "id")
        symbol = query.symbol(self._engines)
        oldest, newest = self._ledger.books.span(symbol)
        update_id = query.whole("id", newest)
        book = self._ledger.books.book(symbol, update_id)
        if book is None:
            reason = f"id was {update_id}: books are known from {oldest} to {newest}"
            return answers.json_answer({"error": reason}, status=404)
        bids, asks = (_text_levels(self._catalog[symbol], levels) for levels in book)
        return answers.json_answer({"symbol": symbol, "id": update_id, "bids": bids, "asks": asks})

    async def deltas(self, request: web.Request) -> web.Response:
        """Changes of the book of `symbol`, `from_id` to `to_id` (default: now), both included."""
        query = TruthQuery(request, "symbol", "from_id", "to_id", "limit")
        symbol = query.symbol(self._engines)
        books, market = self._ledger.books, self._catalog[symbol]
        from_id = query.whole("from_id", None)
        to_id = query.whole("to_id", books.span(symbol)[1])
        if to_id < from_id:
            raise SandboxError(f"to_id was {to_id}: must not be below from_id, {from_id}")
        rows = (
            {
                "id": change.update_id,
                "bids": _text_levels(market, change.bids),
                "asks": _text_levels(market, change.asks),
            }
            for change in books.changes(symbol, from_id, to_id)
        )
        return await _listed(rows, query.whole("limit", CHANGES_MAX, most=CHANGES_MAX))

    async def frames(self, request: web.Request) -> web.Response:
        """Frames of `stream` as published, one per line, from an id or a place of the ledger on."""
        query = TruthQuery(request, "stream", "from_id", "place", "limit")
        stream = self._recorded_stream(query)
        from_id = query.whole("from_id", 0)
        place = query.whole("place", self._first_place(stream, from_id))
        if not self._ledger.is_line_start(place):
            raise SandboxError(f"place was {place}: must be what {PLACE_HEADER} said, or left out")
        page = await asyncio.to_thread(
            read_page,
            self._ledger.path,
            self._ledger.size_bytes,
            stream,
            place=place,
            from_id=from_id,
            limit=query.whole("limit", FRAMES_MAX, most=FRAMES_MAX),
        )
        headers = {PLACE_HEADER: str(page.next_place)}
        if not page.done:
            headers[TRUNCATED_HEADER] = "true"
        body = b"".join(frame + b"\n" for frame in page.frames)
        return web.Response(body=body, content_type="application/x-ndjson", headers=headers)

    async def account(self, request: web.Request) -> web.Response:
        """Balances, positions and open orders of one `account`, as the venue has them."""
        query = TruthQuery(request, "account")
        name = query.choice("account", list(self._accounts))
        return answers.json_answer(account_body(name, self._accounts[name], self._engines))

    async def check(self, request: web.Request) -> web.Response:
        """Compare the tape in the body, JSON lines of any length, with the truth.

        Findings call it `name`.
        """
        query = TruthQuery(request, "complete", "name")
        name = query.text("name", "tape")
        complete = query.choice("complete", ["true", "false"], "false") == "true"
        findings = await check_upload(
            request, self._catalog, self._ledger, name=name, complete=complete
        )
        return answers.json_answer(findings.body())

    def _first_place(self, stream: str, from_id: int) -> int:
        kind, _, symbol = stream.partition(".")
        if from_id and kind in STREAM_IDS:
            return self._ledger.place_of(kind, symbol, from_id)
        return 0

    def _recorded_stream(self, query: TruthQuery) -> str:
        stream = query.text("stream")
        kind, _, symbol = stream.partition(".")
        if stream in WHOLE_STREAMS or (kind in STREAM_IDS and symbol in self._engines):
            return stream
        kinds = ", ".join([*(f"{kind}.<symbol>" for kind in STREAM_IDS), *WHOLE_STREAMS])
        raise SandboxError(f"stream was {stream!r}: the ledger has {kinds}")


def _plain(handler: Handler) -> Handler:
    async def answered(request: web.Request) -> web.Response:
        try:
            return await handler(request)
        except SandboxError as error:
            return answers.json_answer({"error": str(error)}, status=400)

    return answered


async def _listed(rows: Iterable[Any], limit: int) -> web.Response:
    """The first `limit` rows; a header tells when there are more."""
    pieces: list[bytes] = []
    count = 0
    async for batch in in_turns(islice(rows, limit + 1)):
        count += len(batch)
        wanted = batch if count <= limit else batch[:-1]
        pieces.append(msgspec.json.encode(wanted)[1:-1])
    body = b"[" + b",".join(piece for piece in pieces if piece) + b"]"
    answer = web.Response(body=body, content_type="application/json", charset="utf-8")
    if count > limit:
        answer.headers[TRUNCATED_HEADER] = "true"
    return answer


def _text_levels(market: Market, levels: Iterable[Level]) -> list[tuple[str, str]]:
    price, quantity = market.price_grid.padded, market.quantity_grid.padded
    return [(price(p), quantity(q)) for p, q in levels]


def _trade_body(market: Market, trade: PublishedTrade) -> dict[str, Any]:
    event = trade.event
    return {
        "symbol": market.symbol,
        "id": event.trade_id,
        "price": market.price_grid.padded(event.price),
        "quantity": market.quantity_grid.padded(event.quantity),
        "side": "sell" if event.buyer_is_maker else "buy",
        "engine_time_us": trade.engine_us,
    }
