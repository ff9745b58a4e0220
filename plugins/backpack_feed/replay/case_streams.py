"""What a case of nasty inputs needs to be played: its markets, its channels and the book before."""

import re
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, Final

import msgspec
from cryptofeed.defines import (
    CANDLES,
    FUNDING,
    INDEX,
    L1_BOOK,
    L2_BOOK,
    LIQUIDATIONS,
    OPEN_INTEREST,
    TICKER,
    TRADES,
)

from backpack_feed.constants import (
    BALANCES,
    DEPTH_WINDOWS,
    FILLS,
    ORDER_INFO,
    POSITIONS,
)
from backpack_feed.errors import DecodeError
from backpack_feed.replay.report import FormatError
from backpack_feed.wire.decode import decode
from backpack_feed.wire.messages import DepthMessage

DEFAULT_SYMBOL: Final = "SOL_USDC"
CHANNELS: Final[dict[str, tuple[str, ...]]] = {
    "depth": (L2_BOOK,),
    "trade": (TRADES,),
    "bookTicker": (L1_BOOK, TICKER),
    "kline": (CANDLES,),
    "markPrice": (FUNDING, INDEX),
    "openInterest": (OPEN_INTEREST,),
    "liquidation": (LIQUIDATIONS,),
    "account.orderUpdate": (ORDER_INFO, FILLS),
    "account.positionUpdate": (POSITIONS,),
    "account.balanceUpdate": (BALANCES,),
}
_UNUSED = msgspec.Raw(b"")


class Item(msgspec.Struct):
    """One thing that happens; `transport` says which of the other fields there are."""

    transport: str
    raw: str | None = None
    hex: str | None = None
    payload_hex: str | None = None
    generator: str | None = None
    code: int | None = None
    status: int | None = None
    json: msgspec.Raw = _UNUSED
    text: str | None = None
    headers: dict[str, str] | None = None
    error: str | None = None
    wait_s: float | None = None


class Case(msgspec.Struct):
    """A nasty input; the behaviours are prose."""

    name: str
    input: list[Item]
    id: int | None = None
    category: str | None = None
    right_behaviour: str | None = None


class StreamName(msgspec.Struct, frozen=True):
    """`depth.200ms.SOL_USDC` in its parts; `qualifier` is the window or the interval."""

    kind: str
    qualifier: str
    symbol: str


def parse_stream(stream: str) -> StreamName:
    """Split a stream name; symbols contain dots, so only known parts are cut off."""
    kind, _, rest = stream.partition(".")
    if kind == "account":
        name, _, symbol = rest.partition(".")
        return StreamName(f"account.{name}", "", symbol)
    qualifier = ""
    if kind == "kline" or (kind == "depth" and rest.partition(".")[0] in DEPTH_WINDOWS):
        qualifier, _, rest = rest.partition(".")
    return StreamName(kind, qualifier, rest)


def raw_frames(case: Case) -> list[bytes]:
    """Return the websocket frames that the case spells out."""
    frames = [item.raw.encode() for item in case.input if item.raw and item.transport == "ws_text"]
    return frames + [from_hex(case, item.hex) for item in case.input if item.hex]


def from_hex(case: Case, text: str | None) -> bytes:
    """Return the bytes of a hex text, none for none; raises `FormatError`."""
    try:
        return bytes.fromhex(text or "")
    except ValueError:
        raise FormatError(f"{case.name}: {(text or '')[:40]!r} is not hex: correct it") from None


def deltas_of(case: Case, symbol: str) -> Iterator[DepthMessage]:
    """Yield the case's readable deltas of one market."""
    for frame in raw_frames(case):
        with suppress(DecodeError):
            message = decode(frame).data
            if isinstance(message, DepthMessage) and message.symbol == symbol:
                yield message


def streams_of(case: Case) -> list[StreamName]:
    """Return the streams that the case's frames and its own subscriptions name, each once."""
    names: list[str] = []
    for content in (_parsed(item.raw) for item in case.input if item.raw):
        names += [s for s in (content.get("stream"), *_params(content)) if isinstance(s, str)]
    generated = [s for item in case.input for s in _generated_streams(item.generator)]
    return list(dict.fromkeys(parse_stream(name) for name in names + generated))


def _params(content: dict[str, Any]) -> list[Any]:
    params = content.get("params")
    return params if isinstance(params, list) else []


def _generated_streams(generator: str | None) -> list[str]:
    if generator is None:
        return []
    named = re.search(r"\b(depth|trade)(\.\w+ms)?\b", generator)
    stem = (named[1] + (named[2] or "")) if named else "depth"
    markets = re.search(r"over (\d+) markets", generator)
    symbols = (
        [f"M{n:02}_USDC_PERP" for n in range(int(markets[1]))] if markets else [DEFAULT_SYMBOL]
    )
    return [f"{stem}.{symbol}" for symbol in symbols]


def _parsed(raw: str | None) -> dict[str, Any]:
    try:
        content = msgspec.json.decode(raw or "")
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def symbols_of(case: Case, window: str | None = None) -> list[str]:
    """Return the venue symbols that the case speaks of, or the default one.

    With a `window` those whose depth streams have another one are left out.
    """
    streams = streams_of(case)
    elsewhere = {s.symbol for s in streams if s.kind == "depth" and s.qualifier != window}
    here = {s.symbol for s in streams if s.kind != "depth" or s.qualifier == window}
    symbols = [stream.symbol for stream in streams if stream.symbol]
    for item in case.input:
        data = _parsed(item.raw).get("data")
        if isinstance(data, dict) and isinstance(data.get("s"), str):
            symbols.append(data["s"])
    if window is not None:
        symbols = [symbol for symbol in symbols if symbol in here or symbol not in elsewhere]
    return list(dict.fromkeys(symbols)) or [DEFAULT_SYMBOL]


def channels_of(case: Case, window: str) -> list[str]:
    """Return cryptofeed's channels for the streams of the case; books and trades without any.

    A feed reads depth streams of one `window` only.
    """
    streams = [s for s in streams_of(case) if s.kind != "depth" or s.qualifier == window]
    channels = [channel for s in streams for channel in CHANNELS.get(s.kind, ())]
    if is_private(case):
        channels.append(ORDER_INFO)
    if not channels or any(item.transport in ("http", "none") for item in case.input):
        channels += [L2_BOOK, TRADES]
    return list(dict.fromkeys(channels))


def client_symbols(case: Case) -> set[str]:
    """Return the venue symbols that the case's client itself subscribes."""
    texts = [item.raw for item in case.input if item.transport == "client_text"]
    params = [name for text in texts for name in _params(_parsed(text))]
    return {parse_stream(name).symbol for name in params if isinstance(name, str)}


def is_private(case: Case) -> bool:
    """Whether the case is about signed subscriptions: refused, expired, or replayed."""
    text = " ".join((item.raw or "") for item in case.input)
    return '"code":4003' in text.replace(" ", "") or "signed" in text


def windows_of(case: Case) -> list[str]:
    """Return the depth windows of the case; each needs a feed of its own."""
    windows = {stream.qualifier for stream in streams_of(case) if stream.kind == "depth"}
    return sorted(windows) or [""]


def candle_interval(case: Case) -> str | None:
    """Return the interval of the case's candles."""
    return next((s.qualifier for s in streams_of(case) if s.kind == "kline"), None)


def generated_frames(generator: str) -> list[bytes] | None:
    """Make the frames that a `generator` text describes; None for a text that says too little."""
    levels = re.search(r"(\d+) bid levels and (\d+) ask levels", generator)
    rate = re.search(r"(\d+) (depth|trade) frames per second .*?for (\d+) s", generator)
    streams = _generated_streams(generator)
    if levels is not None:
        bids = [[f"{90 - n / 1_000:.3f}", "1.00"] for n in range(int(levels[1]))]
        asks = [[f"{100 + n / 1_000:.3f}", "1.00"] for n in range(int(levels[2]))]
        return [depth_frame(streams[0], 1_001, bids, asks)]
    if rate is None:
        return None
    frames = []
    for n in range(int(rate[1]) * int(rate[3])):
        stream, update_id = streams[n % len(streams)], 1_001 + n // len(streams)
        frames.append(depth_frame(stream, update_id, [["98.90", f"{1 + n % 50}.00"]], []))
    return frames


def depth_frame(stream: str, update_id: int, bids: list[Any], asks: list[Any]) -> bytes:
    """Make a depth frame of one id."""
    data = {
        "E": 1_790_900_001_026_313,
        "T": 1_790_900_001_025_413,
        "U": update_id,
        "a": asks,
        "b": bids,
        "e": "depth",
        "s": parse_stream(stream).symbol,
        "u": update_id,
    }
    return msgspec.json.encode({"data": data, "stream": stream})
