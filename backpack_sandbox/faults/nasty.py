"""The nasty inputs: recorded and inferred frames and answers that break careless clients."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import Any, Final, Literal

import msgspec

from backpack_sandbox.errors import SandboxError

HUGE_LEVELS: Final = 5000
FLOOD_FRAMES_PER_SECOND: Final = 10_000
FLOOD_SECONDS: Final = 10
FLOOD_MARKETS: Final = 91

type Transport = Literal[
    "ws_text", "ws_binary", "ws_ping", "ws_close", "tcp_reset", "http", "none", "client_text"
]


class NastyStep(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One thing that happens; which fields count depends on `transport`.

    `raw`, `hex`, `payload_hex` are contents; `generator` is the name of one in `GENERATORS`.
    `path` is where an `http` answer is given once, "*" everywhere; with `error` the connection
    breaks instead. `none` is `wait_s` seconds under `fault`. `client_text` is what a client would
    have to send itself.
    """

    transport: Transport
    raw: str = ""
    hex: str = ""
    payload_hex: str = ""
    generator: str = ""
    code: int = 1000
    path: str = "*"
    status: int = 200
    content_type: str = ""
    text: str | None = None
    json: Any = None
    error: str = ""
    wait_s: float = 0.0
    fault: str = "stale"


class NastyInput(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A named input; `story` is the right behaviour of a client."""

    name: str
    category: str
    story: str
    input: list[NastyStep]


class _File(msgspec.Struct):
    cases: list[NastyInput]


@cache
def nasty_inputs() -> Mapping[str, NastyInput]:
    """Name → input, in the order of the package's own file."""
    content = files("backpack_sandbox.faults").joinpath("nasty.json").read_bytes()
    return {case.name: case for case in msgspec.json.decode(content, type=_File).cases}


def find_nasty(name: str) -> NastyInput:
    """The input called `name`; SandboxError listing the names otherwise."""
    inputs = nasty_inputs()
    if name not in inputs:
        raise SandboxError(f"unknown nasty input {name!r}: choose one of {', '.join(inputs)}")
    return inputs[name]


def huge_delta(_symbols: Sequence[str]) -> Iterator[bytes]:
    """One aggregated depth frame of SOL_USDC with 5000 levels a side."""
    bids = [[f"{98.96 - 0.01 * i:.2f}", "1.00"] for i in range(HUGE_LEVELS)]
    asks = [[f"{98.97 + 0.01 * i:.2f}", "1.00"] for i in range(HUGE_LEVELS)]
    data = _depth("SOL_USDC", 1001, asks=asks, bids=bids)
    yield _framed(data, "depth.1000ms.SOL_USDC")


def flood(symbols: Sequence[str]) -> Iterator[bytes]:
    """100,000 depth frames over as many as 91 markets in turn, each with ids 1, 2, 3 …."""
    markets = symbols[:FLOOD_MARKETS]
    for number in range(FLOOD_FRAMES_PER_SECOND * FLOOD_SECONDS):
        turn, index = divmod(number, len(markets))
        levels = [["98.97", f"{1 + turn % 9}.00"]]
        data = _depth(markets[index], turn + 1, asks=levels, bids=[])
        yield _framed(data, f"depth.{markets[index]}")


type Generator = Callable[[Sequence[str]], Iterator[bytes]]

GENERATORS: Final[Mapping[str, tuple[Generator, int | None]]] = {
    "huge_delta": (huge_delta, None),
    "flood": (flood, FLOOD_FRAMES_PER_SECOND),
}
"""Name → (what makes the frames for the venue's symbols, frames per second or all at once)."""


def _depth(
    symbol: str, update_id: int, *, asks: list[list[str]], bids: list[list[str]]
) -> dict[str, Any]:
    return {
        "E": 1790900001026313,
        "T": 1790900001025413,
        "U": update_id,
        "a": asks,
        "b": bids,
        "e": "depth",
        "s": symbol,
        "u": update_id,
    }


def _framed(data: dict[str, Any], stream: str) -> bytes:
    return msgspec.json.encode({"data": data, "stream": stream})
