"""REST answers around recorded frames: those of the recording first, else what the frames imply.

The model knows the level changes and trades that the replay showed it, and nothing else: it can
confirm, resynchronise and refuse, but never fill a hole with trades that were not recorded.
"""

import asyncio
import re
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec

from backpack_feed.constants import MICROSECONDS, MILLISECONDS
from backpack_feed.errors import ConnectionLostError, DecodeError
from backpack_feed.replay.modelled_market import ModelledBook, market_row, trade_row
from backpack_feed.replay.recorded_rest import EXCHANGE_SECONDS, RecordedAnswer
from backpack_feed.wire.decode import decode, decode_depth_snapshot
from backpack_feed.wire.messages import BookTickerMessage, DepthMessage, TradeMessage
from backpack_feed.wire.rest_transport import Answer, Transport

KEPT_REQUESTS: Final = 10_000
UNLISTED: Final = re.compile(r"(ZZZ|NOPE)(_|$)")
"""Invented markets, which recordings use for symbols that the venue does not know."""
CLOSED: Final = frozenset({"TON_USDC_PERP", "HNT_USDC"})
DEPTH_PATH: Final = "/api/v1/depth"
TRADES_PATHS: Final = ("/api/v1/trades", "/api/v1/trades/history")


def path_of(content: Any) -> str | None:
    """Tell from the body of an answer what was asked; None when it could be anything."""
    if isinstance(content, dict) and "lastUpdateId" in content:
        return DEPTH_PATH
    if isinstance(content, list) and content and "isBuyerMaker" in content[0]:
        return TRADES_PATHS[0]
    return None


class ModelledVenue(Transport):
    """Stands in for the HTTPS transport of the feed's REST client; `clock` is unix seconds."""

    def __init__(self, symbols: list[str], clock: Callable[[], float]) -> None:
        self.requests: deque[str] = deque(maxlen=KEPT_REQUESTS)
        self.recorded: list[RecordedAnswer] = []
        self.books: dict[str, ModelledBook] = {}
        self._symbols = symbols
        self._trades: dict[str, list[dict[str, Any]]] = {}
        self._clock = clock

    def show(self, frame: bytes) -> None:
        """Let the model see a frame of the venue."""
        try:
            message = decode(frame).data
        except DecodeError:
            return
        if isinstance(message, DepthMessage) and message.symbol in self.books:
            self.books[message.symbol].take(message)
        elif isinstance(message, BookTickerMessage) and message.symbol in self.books:
            self.books[message.symbol].quote(message)
        elif isinstance(message, TradeMessage) and message.trade_id:
            self._trades.setdefault(message.symbol, []).insert(0, trade_row(message))

    async def get(self, url: str, params: Mapping[str, str], _headers: Mapping[str, str]) -> Answer:
        """Answer one request."""
        path, symbol = urlsplit(url).path, params.get("symbol", "")
        recorded = self._take_recorded(path)
        await asyncio.sleep(EXCHANGE_SECONDS)
        if recorded is None:
            answer = self._modelled(path, symbol)
        else:
            answer = Answer(recorded.status, recorded.headers or {}, recorded.body)
            self._learn(path, symbol, recorded)
        how = recorded.error if recorded is not None and recorded.error else str(answer.status)
        self.requests.append(f"{path} {symbol}".rstrip() + f": {how}")
        if recorded is not None and recorded.error:
            raise ConnectionLostError(f"{path}: {recorded.error}")
        return answer

    async def get_anew(
        self, url: str, params: Mapping[str, str], headers: Mapping[str, str]
    ) -> Answer:
        """Answer one request over a new connection."""
        return await self.get(url, params, headers)

    async def close(self) -> None:
        """There is no connection to close."""

    def _take_recorded(self, path: str) -> RecordedAnswer | None:
        if path != DEPTH_PATH and path not in TRADES_PATHS:
            return None
        for index, answer in enumerate(self.recorded):
            if answer.path in (None, path):
                return self.recorded.pop(index)
        return None

    def _learn(self, path: str, symbol: str, recorded: RecordedAnswer) -> None:
        if path != DEPTH_PATH or recorded.status != 200:  # noqa: PLR2004 - HTTP's OK
            return
        try:
            snapshot = decode_depth_snapshot(recorded.body)
        except DecodeError:
            return
        if snapshot.last_update_id >= self.books[symbol].last_update_id:
            self.books[symbol] = ModelledBook.of(snapshot)

    def _modelled(self, path: str, symbol: str) -> Answer:
        if UNLISTED.match(symbol):
            return _refused(400, "INVALID_CLIENT_REQUEST", "Invalid market symbol")
        if symbol in CLOSED:
            return _refused(404, "RESOURCE_NOT_FOUND", "Not Found")
        content = self._content(path, symbol)
        if content is None:
            return _refused(404, "", "404 not found")
        return Answer(200, {}, msgspec.json.encode(content))

    def _content(self, path: str, symbol: str) -> Any:
        match path:
            case "/api/v1/depth" if symbol in self.books:
                return self.books[symbol].answer(int(self._clock() * MICROSECONDS))
            case "/api/v1/trades" | "/api/v1/trades/history":
                return self._trades.get(symbol, []) if path == TRADES_PATHS[0] else []
            case "/api/v1/markets":
                listed = [s for s in self._symbols if not UNLISTED.match(s)]
                return [market_row(s, s in CLOSED) for s in listed]
            case "/api/v1/time":
                return int(self._clock() * MILLISECONDS)
            case "/api/v1/capital":
                return {}
        return None


def _refused(status: int, code: str, message: str) -> Answer:
    return Answer(status, {}, msgspec.json.encode({"code": code, "message": message}))
