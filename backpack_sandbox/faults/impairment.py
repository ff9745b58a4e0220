"""What the active faults together do to the frames of one socket."""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from backpack_sandbox.faults.effects.base import FrameEffect, Tools
from backpack_sandbox.faults.effects.content import (
    ClockSkew,
    Crossed,
    SequenceRestart,
    WrongTimestamps,
)
from backpack_sandbox.faults.effects.order import Delay, Duplicate, Flood, Reorder
from backpack_sandbox.faults.effects.schema import (
    ANY_DAMAGE,
    Damage,
    ExtraField,
    Malformed,
    SchemaDrift,
    UnknownEvents,
    remove,
    rename,
    retype,
)
from backpack_sandbox.faults.effects.silence import Gap, Silence
from backpack_sandbox.faults.names import FaultName
from backpack_sandbox.faults.orders import FaultOrder
from backpack_sandbox.faults.registry import Fault

type MakeEffect = Callable[[FaultOrder, Tools], FrameEffect]


class Impairment:
    """The effects of the faults that hit one socket, oldest fault first.

    Each effect keeps its own place in each stream, so it is carried over when other faults begin
    or end: `effects` maps a fault's id to it.
    """

    def __init__(self, faults: Sequence[Fault], effects: Mapping[int, FrameEffect]) -> None:
        self._chain = [(fault, effects[fault.fault_id]) for fault in faults]
        self.effects = effects
        self.timed = any(effect.timed for effect in effects.values())

    def apply(self, stream: str, symbol: str, frame: bytes) -> Sequence[bytes]:
        """What the socket gets in place of `frame`: none, one or several frames."""
        frames: Sequence[bytes] = (frame,)
        for fault, effect in self._chain:
            if fault.hits_symbol(symbol) and fault.hits_stream(stream):
                frames = [out for passed in frames for out in effect.frame(stream, passed)]
        return frames

    def subscribed(self, stream: str) -> list[bytes]:
        """What the socket gets because it subscribed to `stream`."""
        return [frame for effect in self.effects.values() for frame in effect.subscribed(stream)]

    def overdue(self) -> list[bytes]:
        """The frames that were held back long enough."""
        return [frame for effect in self.effects.values() for frame in effect.overdue()]


def make_effect(order: FaultOrder, tools: Tools) -> FrameEffect:
    """The effect of a fault of `FRAME_FAULTS` on one socket."""
    return _EFFECTS[order.fault](order, tools)


def _silence(_order: FaultOrder, _tools: Tools) -> FrameEffect:
    return Silence()


def _drift(*damages: Damage) -> MakeEffect:
    return lambda order, tools: SchemaDrift(order.share, tools, *damages)


_EFFECTS: Final[Mapping[FaultName, MakeEffect]] = {
    FaultName.GAP: lambda order, tools: Gap("depth.", order.share, tools),
    FaultName.TRADE_GAP: lambda order, tools: Gap("trade.", order.share, tools),
    FaultName.DUPLICATE: lambda order, tools: Duplicate(order.share, tools),
    FaultName.REORDER: lambda order, tools: Reorder(order.share, tools),
    FaultName.DELAY: lambda order, tools: Delay(
        tools, fixed_ms=order.number("delay_ms"), random_ms=0
    ),
    FaultName.JITTER: lambda order, tools: Delay(
        tools, fixed_ms=0, random_ms=order.number("jitter_ms")
    ),
    FaultName.SNAPSHOT_NEW: lambda order, tools: Delay(
        tools, prefix="depth.", fixed_ms=order.number("lead_ms"), random_ms=0
    ),
    FaultName.FLOOD: lambda order, tools: Flood(order.number("frames_per_second"), tools),
    FaultName.CROSSED: lambda order, tools: Crossed(order.share, tools),
    FaultName.SEQUENCE_RESTART: lambda _order, tools: SequenceRestart(tools),
    FaultName.CLOCK_SKEW: lambda order, _tools: ClockSkew(order.number("skew_seconds")),
    FaultName.WRONG_TIMESTAMPS: lambda order, tools: WrongTimestamps(
        order.share, order.choice("how"), tools
    ),
    FaultName.MALFORMED: lambda order, tools: Malformed(order.share, order.choice("how"), tools),
    FaultName.SCHEMA_DRIFT: _drift(*ANY_DAMAGE),
    FaultName.SCHEMA_MISSING: _drift(remove),
    FaultName.SCHEMA_RENAMED: _drift(rename),
    FaultName.SCHEMA_RETYPED: _drift(retype),
    FaultName.SCHEMA_EXTRA: lambda order, tools: ExtraField(order.share, tools),
    FaultName.UNKNOWN_EVENTS: lambda order, tools: UnknownEvents(order.share, tools),
    FaultName.STALE: _silence,
    FaultName.SILENT: _silence,
    FaultName.BLACKOUT: _silence,
    FaultName.HALF_OPEN: _silence,
    FaultName.MARKET_CLOSED: _silence,
}
FRAME_FAULTS: Final = frozenset(_EFFECTS)
