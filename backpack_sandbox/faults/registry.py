"""Faults on demand: which one is active, for whom, and until when."""

import zlib
from collections.abc import Callable, Collection, Container
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from backpack_sandbox.errors import SandboxError
from backpack_sandbox.faults.catalogue import SIGNATURE_FAULTS
from backpack_sandbox.faults.names import FaultName
from backpack_sandbox.faults.orders import FaultOrder, read_fault_order


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault; `begins_at` and `expires_at` are monotonic seconds.

    `order.user_agent` is a glob, as are `order.streams`; `order.symbols` are venue names. What a
    share is of stands in the catalogue; None is the fault's own habit.
    """

    fault_id: int
    order: FaultOrder
    begins_at: float = 0.0
    expires_at: float | None = None

    @property
    def name(self) -> FaultName:
        """What the fault does."""
        return self.order.fault

    def matches_agent(self, user_agent: str) -> bool:
        """The fault is meant for clients with this User-Agent."""
        return fnmatchcase(user_agent, self.order.user_agent)

    def hits_socket(self, user_agent: str, number: int) -> bool:
        """The fault is meant for the `number`-th socket; the same answer every time."""
        if not self.matches_agent(user_agent):
            return False
        return self.order.kind.share_of != "sockets" or self.draws(number)

    def hits_request(self, user_agent: str, number: int) -> bool:
        """The fault is meant for the `number`-th REST request; the same answer every time."""
        if not self.matches_agent(user_agent):
            return False
        return self.order.kind.share_of != "requests" or self.draws(number)

    def hits_symbol(self, symbol: str) -> bool:
        """The fault is meant for this market."""
        return self.order.symbols is None or symbol in self.order.symbols

    def hits_stream(self, stream: str) -> bool:
        """The fault is meant for this stream."""
        globs = self.order.streams
        return globs is None or any(fnmatchcase(stream, glob) for glob in globs)

    def draws(self, number: int) -> bool:
        """Whether the `number`-th of many falls into the share."""
        if self.order.share is None:
            return True
        return zlib.crc32(f"{self.fault_id}:{number}".encode()) / 2**32 < self.order.share


class FaultRegistry:
    """Faults in a venue with these `symbols`.

    `clock` is monotonic seconds; each of `listeners` runs after each change.
    """

    def __init__(self, clock: Callable[[], float], symbols: Collection[str]) -> None:
        self._clock = clock
        self._symbols = frozenset(symbols)
        self._faults: dict[int, Fault] = {}
        self._waiting: dict[int, Fault] = {}
        self._last_id = 0
        self.listeners: list[Callable[[], None]] = []

    def add(self, name: str, **options: Any) -> Fault:
        """Start a fault; `options` as in `FaultOrder`, and the parameters of its kind.

        SandboxError for what cannot be.
        """
        return self.start(read_fault_order({"fault": name, **options}))

    def check(self, order: FaultOrder) -> None:
        """SandboxError when the fault is meant for a market that this venue does not list."""
        if unknown := sorted(set(order.symbols or ()) - self._symbols):
            raise SandboxError(f"unknown symbol {', '.join(unknown)}: see /api/v1/markets")

    def start(self, order: FaultOrder) -> Fault:
        """Start a fault at once, or `order.start_after_seconds` from now; SandboxError as above."""
        self.check(order)
        self._last_id += 1
        begins_at = self._clock() + order.start_after_seconds
        ends_at = None if order.duration_seconds is None else begins_at + order.duration_seconds
        fault = Fault(self._last_id, order, begins_at, ends_at)
        if order.start_after_seconds:
            self._waiting[fault.fault_id] = fault
        else:
            self._faults[fault.fault_id] = fault
            self._changed()
        return fault

    def remove(self, fault_id: int) -> bool:
        """End one fault; False when there is none."""
        if self._waiting.pop(fault_id, None) is not None:
            return True
        found = self._faults.pop(fault_id, None) is not None
        if found:
            self._changed()
        return found

    def clear(self) -> None:
        """End every fault, also those that have not begun."""
        self._waiting.clear()
        self._faults.clear()
        self._changed()

    def expire(self) -> None:
        """Begin the faults whose time has come, and end those whose time is over."""
        now = self._clock()
        due = [fault for fault in self._waiting.values() if fault.begins_at <= now]
        for fault in due:
            self._faults[fault.fault_id] = self._waiting.pop(fault.fault_id)
        if due:
            self._changed()
        over = [f for f in self._faults.values() if f.expires_at and f.expires_at <= now]
        for fault in over:
            self.remove(fault.fault_id)

    def active(self) -> tuple[Fault, ...]:
        """Every active fault, in the order of their beginning."""
        return tuple(self._faults.values())

    def waiting(self) -> tuple[Fault, ...]:
        """Every fault that has not begun."""
        return tuple(self._waiting.values())

    def seconds_left(self, fault: Fault) -> tuple[float, float | None]:
        """(until it begins, until it ends); 0 for what is active, None for what has no end."""
        now = self._clock()
        ends_in = None if fault.expires_at is None else max(0.0, fault.expires_at - now)
        return max(0.0, fault.begins_at - now), ends_in

    def named(self, names: Container[FaultName]) -> list[Fault]:
        """The active faults of these kinds, oldest first."""
        return [fault for fault in self._faults.values() if fault.name in names]

    def refuses_signatures_of(self, user_agent: str) -> bool:
        """A fault that refuses signatures is active for this client."""
        return any(f.matches_agent(user_agent) for f in self.named(SIGNATURE_FAULTS))

    def _changed(self) -> None:
        for listener in self.listeners:
            listener()
