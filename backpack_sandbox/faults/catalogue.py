"""What every fault is: a table that the command line, the control endpoints and the docs show."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final, Literal

from backpack_sandbox.errors import SandboxError
from backpack_sandbox.faults.names import FaultName
from backpack_sandbox.faults.parameters import Parameter

type Target = Literal["frames", "socket", "ending", "rest", "signatures", "handshake"]
type ShareOf = Literal["frames", "sockets", "requests", "handshakes"]


@dataclass(frozen=True, slots=True)
class FaultKind:
    """One row of the table.

    `hits`: the parts of the venue that change. `share_of`: of what a `share` is, None when there is
    no part of it. `by_symbol`: it can be narrowed to markets and streams. `by_agent`: it can be
    meant for some clients only.
    """

    name: FaultName
    hits: tuple[Target, ...]
    share_of: ShareOf | None
    story: str
    parameters: tuple[Parameter, ...] = ()
    by_symbol: bool = False
    by_agent: bool = True

    def body(self) -> dict[str, Any]:
        """The row as JSON."""
        return {
            "fault": self.name,
            "hits": self.hits,
            "share_of": self.share_of,
            "by_symbol": self.by_symbol,
            "by_user_agent": self.by_agent,
            "parameters": {
                each.name: {"default": each.default, "must_be": each.range, "means": each.means}
                for each in self.parameters
            },
            "story": self.story,
        }


AFTER: Final = "after_seconds"
"""Belongs to every fault that ends sockets; its default is the fault's own habit."""


def _frames(
    name: FaultName, story: str, *parameters: Parameter, share_of: ShareOf = "frames"
) -> FaultKind:
    return FaultKind(name, ("frames",), share_of, story, parameters, by_symbol=True)


def _socket(name: FaultName, story: str, *parameters: Parameter) -> FaultKind:
    return FaultKind(name, ("socket",), "sockets", story, parameters)


def _ending(name: FaultName, story: str) -> FaultKind:
    return FaultKind(name, ("ending",), "sockets", story)


def _rest(name: FaultName, story: str, *parameters: Parameter) -> FaultKind:
    return FaultKind(name, ("rest",), "requests", story, parameters)


_ROWS: Final = (
    FaultKind(
        FaultName.AUTH_FAILURE,
        ("signatures", "socket"),
        "sockets",
        "signed SUBSCRIBE gets 4003, signed REST 400 `Invalid signature`; sockets with private"
        " streams are closed (1000), so that they must sign again",
    ),
    FaultKind(
        FaultName.SIGNATURE_REFUSED,
        ("signatures",),
        None,
        "new signatures are refused as in `auth_failure`; open private streams go on",
    ),
    FaultKind(
        FaultName.KEY_REVOKED,
        ("signatures", "socket"),
        None,
        "the key is gone: signatures are refused, and sockets that signed are closed (1008)",
    ),
    FaultKind(
        FaultName.CLOCK_SKEW,
        ("frames", "rest", "signatures"),
        None,
        "the venue's clock is off: `/time`, `E` and `T` of frames, and the window of signatures",
        (Parameter("skew_seconds", 30.0, "ahead of the true time; below 0 behind", -1e8, 1e8),),
    ),
    _frames(
        FaultName.GAP,
        "one to three depth frames in a row are lost, about every 2 s of each stream",
    ),
    _frames(FaultName.TRADE_GAP, "the same with trade frames"),
    _frames(
        FaultName.DUPLICATE,
        "the last one to three frames of a stream come again, about every 2 s of each stream, and"
        " the last three at each new subscription, so also after a reconnect",
    ),
    _frames(
        FaultName.REORDER,
        "two neighbouring frames of a stream change places, about every 2 s of each stream; one"
        " whose neighbour does not come within a second goes on alone",
    ),
    _frames(
        FaultName.DELAY,
        "every frame comes late, in order",
        Parameter("delay_ms", 200.0, "how late", 0, 600_000),
        share_of="sockets",
    ),
    _frames(
        FaultName.JITTER,
        "every frame comes late by another time, in order: waits, then bursts",
        Parameter("jitter_ms", 200.0, "late by 0 to this", 0, 600_000),
        share_of="sockets",
    ),
    _frames(
        FaultName.FLOOD,
        "the newest frame of each stream comes again and again, byte for byte",
        Parameter("frames_per_second", 1000.0, "to each socket, over all streams", 1, 100_000),
        share_of="sockets",
    ),
    _frames(
        FaultName.CROSSED,
        "a bid above every ask comes with a depth frame, about every 2 s of each stream; no later"
        " frame takes it back",
    ),
    FaultKind(
        FaultName.SEQUENCE_RESTART,
        ("frames", "rest"),
        None,
        "ids of depth, bookTicker and trade start again from 1, on the socket and on REST alike;"
        " REST no longer knows the trades from before",
        by_symbol=True,
    ),
    _frames(
        FaultName.MALFORMED,
        "a frame comes as something that is not a frame, about every 2 s of each stream",
        Parameter(
            "how",
            "any",
            "what comes instead",
            choices=("any", "truncated", "text", "array", "null", "binary"),
        ),
    ),
    _frames(
        FaultName.SCHEMA_DRIFT,
        "a required field is renamed, missing or of another type in one frame of ten",
    ),
    _frames(FaultName.SCHEMA_EXTRA, "one frame of ten has a field that nobody knows"),
    _frames(FaultName.SCHEMA_MISSING, "one frame of ten lacks a required field"),
    _frames(FaultName.SCHEMA_RENAMED, "one frame of ten has a required field by another name"),
    _frames(FaultName.SCHEMA_RETYPED, "one frame of ten has a required field of another type"),
    _frames(
        FaultName.UNKNOWN_EVENTS,
        "after one frame of ten comes an event `auction` of a stream that nobody asked for",
    ),
    _frames(
        FaultName.WRONG_TIMESTAMPS,
        "`E` and `T` of one frame of ten are wrong",
        Parameter(
            "how",
            "any",
            "a day ahead, a day ago, as text, or in milliseconds",
            choices=("any", "future", "past", "string", "milliseconds"),
        ),
    ),
    _frames(
        FaultName.STALE,
        "no data frame any more, on old and new subscriptions; the socket is open, pings and"
        " errors are answered",
        share_of="sockets",
    ),
    _socket(
        FaultName.SILENT,
        "sockets that are opened meanwhile get no data frame; older ones hear everything",
    ),
    _socket(
        FaultName.STALL,
        "the socket is open and sends nothing at all, not even pongs; afterwards everything comes,"
        " late",
    ),
    _socket(FaultName.BLACKOUT, "as `stall`, but the data frames of the meantime are lost"),
    _socket(
        FaultName.HALF_OPEN,
        "deaf and mute: nothing is read and nothing sent, also after the fault, while TCP stays"
        " open; the frames of the meantime are lost",
    ),
    _socket(
        FaultName.SLOW_DRIP,
        "frames leave at a few bytes per second; a client that lags too far is cut off",
        Parameter("bytes_per_second", 200.0, "to each socket", 1, 1e9),
    ),
    _ending(
        FaultName.DISCONNECT, "sockets are reset without a close frame, about 3 s after they opened"
    ),
    _ending(FaultName.CLOSE, "the same with Close 1001"),
    _ending(FaultName.CUT, "the same in the middle of a frame"),
    FaultKind(
        FaultName.MARKET_CLOSED,
        ("frames", "rest"),
        None,
        "the market is Closed in `/markets`, its streams are silent, `/depth` is 404, `/markPrices`"
        " does not know it, and orders are refused",
        by_symbol=True,
    ),
    FaultKind(
        FaultName.MAINTENANCE,
        ("rest", "ending", "handshake"),
        None,
        "`/status` says Maintenance, every other path and new sockets get 503, open sockets Close"
        " 1001",
    ),
    FaultKind(
        FaultName.CERT_EXPIRED,
        ("handshake",),
        "handshakes",
        "new TLS connections get an expired certificate of the same authority; open ones live on",
        by_agent=False,
    ),
    _rest(
        FaultName.REST_429,
        "every path answers 429: `TOO_MANY_REQUESTS` with `Retry-After: 1`, or a page of the edge",
        Parameter("body", "json", "what the answer is", choices=("json", "html")),
    ),
    _rest(FaultName.REST_500, "every path answers 500 `SERVER_ERROR`"),
    _rest(FaultName.REST_503, "every path answers 503 with an HTML page of the edge"),
    _rest(
        FaultName.REST_HTML,
        "every path answers an HTML page where JSON belongs",
        Parameter("status", 403.0, "of the page", 200, 599),
    ),
    _rest(FaultName.OLD_DEPTH, "`/depth` answers the book from before the fault, told by `Age`"),
    _rest(
        FaultName.OLD_TRADES,
        "`/trades` and `/trades/history` answer without the trades since the fault began, told by"
        " `Age`",
    ),
    _rest(
        FaultName.SNAPSHOT_OLD,
        "`/depth` trails the stream: it answers the book of some ids ago",
        Parameter("behind_ids", 50.0, "how far it trails", 1, 5_000),
    ),
    _frames(
        FaultName.SNAPSHOT_NEW,
        "`/depth` leads the stream: depth frames come late",
        Parameter("lead_ms", 500.0, "how late", 0, 600_000),
        share_of="sockets",
    ),
    _rest(
        FaultName.STALE_CDN,
        "every endpoint with a public cache header answers what it last answered to this very URL,"
        " told by `Age`; a new query misses the cache",
    ),
)

KINDS: Final = {kind.name: kind for kind in _ROWS}


def _hitting(target: Target) -> frozenset[FaultName]:
    return frozenset(kind.name for kind in _ROWS if target in kind.hits)


SYMBOL_FAULTS: Final = frozenset(kind.name for kind in _ROWS if kind.by_symbol)
"""Those that hit single streams, and so can be narrowed to markets."""
ENDING_FAULTS: Final = _hitting("ending")
REQUEST_FAULTS: Final = _hitting("rest")
SIGNATURE_FAULTS: Final = frozenset(
    {FaultName.AUTH_FAILURE, FaultName.SIGNATURE_REFUSED, FaultName.KEY_REVOKED}
)
AGED_FAULTS: Final = frozenset({FaultName.DISCONNECT, FaultName.CLOSE, FaultName.CUT})
"""Those that end a socket at a certain age, and so have `after_seconds`."""


def parse_fault_name(name: object) -> FaultName:
    """The fault called `name`; SandboxError listing the names otherwise."""
    try:
        return FaultName(str(name))
    except ValueError:
        raise SandboxError(f"unknown fault {name!r}: choose one of {listed(FaultName)}") from None


def listed(names: Iterable[str]) -> str:
    """Names as a message gives them."""
    return ", ".join(names)


def all_parameters() -> dict[str, list[tuple[FaultKind, Parameter]]]:
    """Parameter name → the faults that have it."""
    found: dict[str, list[tuple[FaultKind, Parameter]]] = {}
    for kind in _ROWS:
        for parameter in kind.parameters:
            found.setdefault(parameter.name, []).append((kind, parameter))
    return found
