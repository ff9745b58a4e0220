"""Faults on demand: which one is active, for whom, and until when."""

import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatchcase

from backpack_sandbox.errors import SandboxError


class FaultName(StrEnum):
    """What the venue can do to its clients."""

    AUTH_FAILURE = "auth_failure"
    GAP = "gap"
    STALE = "stale"
    DISCONNECT = "disconnect"
    SCHEMA_DRIFT = "schema_drift"


SYMBOL_FAULTS = frozenset({FaultName.GAP, FaultName.STALE, FaultName.SCHEMA_DRIFT})


@dataclass(frozen=True, kw_only=True, slots=True)
class Fault:
    """One active fault.

    `user_agent` is a glob. `symbols` (venue names) narrows gap, stale and schema_drift.
    `share` is, for gap and schema_drift, the share of frames hit; for the others the share of the
    matching sockets. None is the fault's own habit.
    """

    fault_id: int
    name: FaultName
    user_agent: str = "*"
    symbols: frozenset[str] | None = None
    expires_at: float | None = None
    share: float | None = None

    def matches_agent(self, user_agent: str) -> bool:
        """The fault is meant for clients with this User-Agent."""
        return fnmatchcase(user_agent, self.user_agent)

    def hits_socket(self, user_agent: str, number: int) -> bool:
        """The fault is meant for the `number`-th socket; the same answer every time."""
        if not self.matches_agent(user_agent):
            return False
        if self.share is None or self.name in {FaultName.GAP, FaultName.SCHEMA_DRIFT}:
            return True
        draw = zlib.crc32(f"{self.fault_id}:{number}".encode()) / 2**32
        return draw < self.share

    def hits_symbol(self, symbol: str) -> bool:
        """The fault is meant for this market."""
        return self.symbols is None or symbol in self.symbols


class FaultRegistry:
    """Active faults. `clock` is monotonic seconds; `on_change` runs after each change."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._faults: dict[int, Fault] = {}
        self._last_id = 0
        self.on_change: Callable[[], None] = _ignore

    def add(
        self,
        name: str,
        *,
        user_agent: str = "*",
        symbols: Iterable[str] | None = None,
        duration_seconds: float | None = None,
        share: float | None = None,
    ) -> Fault:
        """Start a fault at once; SandboxError for what cannot be."""
        if duration_seconds is not None and duration_seconds <= 0:
            raise SandboxError(f"duration_seconds was {duration_seconds}, must be above 0")
        if symbols is not None and parse_fault_name(name) not in SYMBOL_FAULTS:
            raise SandboxError(
                f"{name} cannot be narrowed to symbols: only gap, stale and schema_drift can"
            )
        if share is not None and not 0 < share <= 1:
            raise SandboxError(f"share was {share}, must be above 0 and at most 1")
        self._last_id += 1
        fault = Fault(
            fault_id=self._last_id,
            name=parse_fault_name(name),
            user_agent=user_agent,
            symbols=None if symbols is None else frozenset(symbols),
            expires_at=None if duration_seconds is None else self._clock() + duration_seconds,
            share=share,
        )
        self._faults[fault.fault_id] = fault
        self.on_change()
        return fault

    def remove(self, fault_id: int) -> bool:
        """End one fault; False when it is not active."""
        found = self._faults.pop(fault_id, None) is not None
        self.on_change()
        return found

    def clear(self) -> None:
        """End every fault."""
        self._faults.clear()
        self.on_change()

    def expire(self) -> None:
        """End the faults whose time is over."""
        now = self._clock()
        over = [f for f in self._faults.values() if f.expires_at and f.expires_at <= now]
        for fault in over:
            self.remove(fault.fault_id)

    def active(self) -> tuple[Fault, ...]:
        """Every active fault, oldest first."""
        return tuple(self._faults.values())

    def refuses_signatures_of(self, user_agent: str) -> bool:
        """An auth_failure is active for this client."""
        return any(
            fault.name is FaultName.AUTH_FAILURE and fault.matches_agent(user_agent)
            for fault in self._faults.values()
        )


def parse_fault_name(name: str) -> FaultName:
    """The fault called `name`; SandboxError listing the names otherwise."""
    try:
        return FaultName(name)
    except ValueError:
        names = ", ".join(FaultName)
        raise SandboxError(f"unknown fault {name!r}: choose one of {names}") from None


def _ignore() -> None:
    """Nobody listens yet."""
