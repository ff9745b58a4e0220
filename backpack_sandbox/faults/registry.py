"""Faults on demand: which one is active, for whom, and until when."""

import zlib
from collections.abc import Callable, Container, Iterable
from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatchcase

from backpack_sandbox.errors import SandboxError


class FaultName(StrEnum):
    """What the venue can do to its clients."""

    AUTH_FAILURE = "auth_failure"
    GAP = "gap"
    TRADE_GAP = "trade_gap"
    DUPLICATE = "duplicate"
    REORDER = "reorder"
    STALE = "stale"
    STALL = "stall"
    BLACKOUT = "blackout"
    DISCONNECT = "disconnect"
    CLOSE = "close"
    CUT = "cut"
    SCHEMA_DRIFT = "schema_drift"
    REST_503 = "rest_503"
    REST_429 = "rest_429"
    OLD_DEPTH = "old_depth"
    OLD_TRADES = "old_trades"


SYMBOL_FAULTS = frozenset(
    {
        FaultName.GAP,
        FaultName.TRADE_GAP,
        FaultName.DUPLICATE,
        FaultName.REORDER,
        FaultName.STALE,
        FaultName.SCHEMA_DRIFT,
    }
)
"""Those that hit single streams, and so can be narrowed to markets."""
ENDING_FAULTS = frozenset({FaultName.DISCONNECT, FaultName.CLOSE, FaultName.CUT})
REQUEST_FAULTS = frozenset(
    {FaultName.REST_503, FaultName.REST_429, FaultName.OLD_DEPTH, FaultName.OLD_TRADES}
)
_FRAME_SHARE = SYMBOL_FAULTS - {FaultName.STALE}


@dataclass(frozen=True, kw_only=True, slots=True)
class Fault:
    """One active fault.

    `user_agent` is a glob. `symbols` (venue names) narrows the faults of `SYMBOL_FAULTS`. `share`
    is, for those but stale, the share of frames hit, for `REQUEST_FAULTS` that of the requests, for
    the others that of the matching sockets. `after_seconds` is the age at which `ENDING_FAULTS` end
    a socket. None is the fault's own habit.
    """

    fault_id: int
    name: FaultName
    user_agent: str = "*"
    symbols: frozenset[str] | None = None
    expires_at: float | None = None
    share: float | None = None
    after_seconds: float | None = None

    def matches_agent(self, user_agent: str) -> bool:
        """The fault is meant for clients with this User-Agent."""
        return fnmatchcase(user_agent, self.user_agent)

    def hits_socket(self, user_agent: str, number: int) -> bool:
        """The fault is meant for the `number`-th socket; the same answer every time."""
        if not self.matches_agent(user_agent):
            return False
        return self.name in _FRAME_SHARE or self._drawn(number)

    def hits_request(self, user_agent: str, number: int) -> bool:
        """The fault is meant for the `number`-th REST request; the same answer every time."""
        return self.matches_agent(user_agent) and self._drawn(number)

    def hits_symbol(self, symbol: str) -> bool:
        """The fault is meant for this market."""
        return self.symbols is None or symbol in self.symbols

    def _drawn(self, number: int) -> bool:
        if self.share is None:
            return True
        return zlib.crc32(f"{self.fault_id}:{number}".encode()) / 2**32 < self.share


class FaultRegistry:
    """Active faults. `clock` is monotonic seconds; each of `listeners` runs after each change."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._faults: dict[int, Fault] = {}
        self._last_id = 0
        self.listeners: list[Callable[[], None]] = []

    def add(
        self,
        name: str,
        *,
        user_agent: str = "*",
        symbols: Iterable[str] | None = None,
        duration_seconds: float | None = None,
        share: float | None = None,
        after_seconds: float | None = None,
    ) -> Fault:
        """Start a fault at once; SandboxError for what cannot be."""
        kind = parse_fault_name(name)
        if duration_seconds is not None and duration_seconds <= 0:
            raise SandboxError(f"duration_seconds was {duration_seconds}, must be above 0")
        if share is not None and not 0 < share <= 1:
            raise SandboxError(f"share was {share}, must be above 0 and at most 1")
        if symbols is not None and kind not in SYMBOL_FAULTS:
            names = ", ".join(sorted(SYMBOL_FAULTS))
            raise SandboxError(f"{name} cannot be narrowed to symbols: only {names} can")
        _check_age(kind, after_seconds)
        self._last_id += 1
        fault = Fault(
            fault_id=self._last_id,
            name=kind,
            user_agent=user_agent,
            symbols=None if symbols is None else frozenset(symbols),
            expires_at=None if duration_seconds is None else self._clock() + duration_seconds,
            share=share,
            after_seconds=after_seconds,
        )
        self._faults[fault.fault_id] = fault
        self._changed()
        return fault

    def remove(self, fault_id: int) -> bool:
        """End one fault; False when it is not active."""
        found = self._faults.pop(fault_id, None) is not None
        self._changed()
        return found

    def clear(self) -> None:
        """End every fault."""
        self._faults.clear()
        self._changed()

    def expire(self) -> None:
        """End the faults whose time is over."""
        now = self._clock()
        over = [f for f in self._faults.values() if f.expires_at and f.expires_at <= now]
        for fault in over:
            self.remove(fault.fault_id)

    def active(self) -> tuple[Fault, ...]:
        """Every active fault, oldest first."""
        return tuple(self._faults.values())

    def named(self, names: Container[FaultName]) -> list[Fault]:
        """The active faults of these kinds, oldest first."""
        return [fault for fault in self._faults.values() if fault.name in names]

    def refuses_signatures_of(self, user_agent: str) -> bool:
        """An auth_failure is active for this client."""
        return any(
            fault.name is FaultName.AUTH_FAILURE and fault.matches_agent(user_agent)
            for fault in self._faults.values()
        )

    def _changed(self) -> None:
        for listener in self.listeners:
            listener()


def parse_fault_name(name: str) -> FaultName:
    """The fault called `name`; SandboxError listing the names otherwise."""
    try:
        return FaultName(name)
    except ValueError:
        names = ", ".join(FaultName)
        raise SandboxError(f"unknown fault {name!r}: choose one of {names}") from None


def _check_age(name: FaultName, after_seconds: float | None) -> None:
    if after_seconds is None:
        return
    if name not in ENDING_FAULTS:
        names = ", ".join(sorted(ENDING_FAULTS))
        raise SandboxError(f"{name} has no after_seconds: only {names} have")
    if after_seconds < 0:
        raise SandboxError(f"after_seconds was {after_seconds}, must not be below 0")
