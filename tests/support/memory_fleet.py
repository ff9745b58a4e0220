"""A fleet in memory, for tests of what is decided, not of how processes are driven."""

from collections.abc import Callable, Sequence

from feed_migration.errors import FleetUnavailable, NotReady, StaleEpoch
from feed_migration.fleet.base import InstanceStatus


class Killed(BaseException):
    """The process dies here; nothing may catch it."""


class MemoryFleet:
    """Ten instances; `before_act` is called before every single change, and may raise.

    `forgotten` are such as still run, and no deployment names any more.
    """

    ready_deadline_seconds = 1.0
    max_unavailable = 5

    def __init__(self, size: int = 10) -> None:
        self.variant = {f"feed-{i:02}": "ccxt" for i in range(size)}
        self.messages = dict.fromkeys(self.variant, 0)
        self.restarts = dict.fromkeys(self.variant, 0)
        self.shadow_runs = False
        self.never_ready: set[str] = set()
        self.dry: set[str] = set()
        self.forgotten: set[str] = set()
        self.down = False
        self.seen_epoch = 0
        self.before_act: Callable[[str], None] = lambda act: None

    @property
    def native(self) -> list[str]:
        return [name for name, variant in self.variant.items() if variant == "native"]

    def epoch(self) -> int:
        return self.seen_epoch

    def instances(self) -> tuple[InstanceStatus, ...]:
        for name in self.variant:
            self.messages[name] += name not in self.dry
        return tuple(self._status(name) for name in self.variant)

    def shadow_instances(self) -> tuple[InstanceStatus, ...]:
        up = self.shadow_runs
        status = InstanceStatus(
            id="shadow-00", variant="shadow", ready=up, healthy=up, reasons=(), url="", pid=int(up)
        )
        return (status,)

    def set_variant(self, ids, variant, *, epoch, max_unavailable=None):
        self._admit(epoch)
        for name in ids:
            if self.variant[name] != variant:
                self.before_act(f"flip {name}")
                self._admit(epoch)
                self.variant[name] = variant
                self.restarts[name] += 1

    def wait_ready(self, ids, variant, deadline_seconds, *, epoch=None):
        self.before_act("wait")
        if epoch is not None:
            self._admit(epoch)
        late = tuple(name for name in ids if name in self.never_ready)
        if late:
            raise NotReady(late, dict.fromkeys(late, ("no book",)), deadline_seconds)

    def remaining(self, ids):
        shadows = {"shadow-00"} if self.shadow_runs else set()
        return tuple(name for name in ids if name in {*self.variant, *self.forgotten, *shadows})

    def start_shadow(self, epoch):
        self._admit(epoch)
        self.before_act("start_shadow")
        self.shadow_runs = True

    def stop_shadow(self, epoch):
        self._admit(epoch)
        self.before_act("stop_shadow")
        self.shadow_runs = False

    def log_tails(self, ids: Sequence[str], lines: int) -> dict[str, tuple[str, ...]]:
        return {name: (f"{name}: sequence gap",) for name in ids}

    def _admit(self, epoch: int) -> None:
        if self.down:
            raise FleetUnavailable("supervisord does not answer", "start it")
        if epoch < self.seen_epoch:
            raise StaleEpoch(presented=epoch, current=self.seen_epoch)
        self.seen_epoch = epoch

    def _status(self, name: str) -> InstanceStatus:
        ready = name not in self.never_ready
        return InstanceStatus(
            id=name,
            variant=self.variant[name],
            ready=ready,
            healthy=ready,
            reasons=() if ready else ("no book",),
            url=f"http://{name}",
            messages=self.messages[name],
            pid=1 + self.restarts[name],
        )
