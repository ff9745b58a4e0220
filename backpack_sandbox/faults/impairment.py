"""What the active faults together do to the frames of one socket."""

from collections.abc import Callable, Mapping, Sequence
from random import Random
from typing import Final

from backpack_sandbox.faults.frame_effects import (
    Duplicate,
    FrameEffect,
    Gap,
    Memory,
    Pace,
    Reorder,
    SchemaDrift,
    Silence,
)
from backpack_sandbox.faults.registry import Fault, FaultName

type MakeEffect = Callable[[Fault, Callable[[], float], Random, Memory], FrameEffect]


class Impairment:
    """The effects of the faults that hit one socket, oldest fault first.

    Each effect keeps its own place in each stream, so it is carried over when other faults begin
    or end: `effects` maps a fault's id to it.
    """

    def __init__(self, faults: Sequence[Fault], effects: Mapping[int, FrameEffect]) -> None:
        self._chain = [(fault, effects[fault.fault_id]) for fault in faults]
        self.effects = effects

    def apply(self, stream: str, symbol: str, frame: bytes) -> Sequence[bytes]:
        """What the socket gets in place of `frame`: none, one or several frames."""
        frames: Sequence[bytes] = (frame,)
        for fault, effect in self._chain:
            if fault.hits_symbol(symbol):
                frames = [out for passed in frames for out in effect.frame(stream, passed)]
        return frames

    def subscribed(self, stream: str) -> list[bytes]:
        """What the socket gets because it subscribed to `stream`."""
        return [frame for effect in self.effects.values() for frame in effect.subscribed(stream)]

    def overdue(self) -> list[bytes]:
        """The frames that were held back long enough."""
        return [frame for effect in self.effects.values() for frame in effect.overdue()]


def make_effect(
    fault: Fault, clock: Callable[[], float], rng: Random, memory: Memory
) -> FrameEffect:
    """The effect of a fault of `FRAME_FAULTS` on one socket.

    `clock` is monotonic seconds, `rng` decides when, `memory` is shared by the
    client's sockets.
    """
    return _EFFECTS[fault.name](fault, clock, rng, memory)


def _pace(fault: Fault, clock: Callable[[], float], rng: Random) -> Pace:
    return Pace(fault.share, clock, rng)


def _gap(prefix: str) -> MakeEffect:
    return lambda fault, clock, rng, _memory: Gap(
        prefix, fault.share, _pace(fault, clock, rng), rng
    )


_EFFECTS: Final[Mapping[FaultName, MakeEffect]] = {
    FaultName.GAP: _gap("depth."),
    FaultName.TRADE_GAP: _gap("trade."),
    FaultName.DUPLICATE: lambda fault, clock, rng, memory: Duplicate(
        memory, _pace(fault, clock, rng), rng
    ),
    FaultName.REORDER: lambda fault, clock, rng, _memory: Reorder(_pace(fault, clock, rng), clock),
    FaultName.STALE: lambda _fault, _clock, _rng, _memory: Silence(),
    FaultName.BLACKOUT: lambda _fault, _clock, _rng, _memory: Silence(),
    FaultName.SCHEMA_DRIFT: lambda fault, _clock, rng, _memory: SchemaDrift(fault.share, rng),
}
FRAME_FAULTS: Final = frozenset(_EFFECTS)
