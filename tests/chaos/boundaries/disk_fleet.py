"""A fleet whose state is files behind the real fence: what a killed driver leaves is all there is."""

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from feed_migration.durable import write_text
from feed_migration.errors import NotReady
from feed_migration.fence import Fence
from feed_migration.fleet.base import InstanceStatus, Variant

NAMES = tuple(f"feed-{place:02}" for place in range(4))
SHADOW = "shadow-00"


def _nothing(label: str) -> None:
    del label


class DiskFleet:
    """Four instances and a shadow; `moment` is told before and after whatever changes."""

    ready_deadline_seconds = 1.0
    max_unavailable = 2

    def __init__(self, home: Path, moment: Callable[[str], None] = _nothing) -> None:
        self._folder = home / "disk-fleet"
        self._fence = Fence(home / "fleet" / "epoch")
        self._moment = moment

    def epoch(self) -> int:
        """Return the highest epoch seen."""
        return self._fence.epoch()

    def variants(self) -> dict[str, str]:
        """Instance → what it runs; the shadow only while it runs."""
        found = dict.fromkeys(NAMES, "ccxt")
        found |= {path.name: path.read_text() for path in self._folder.glob("*-[0-9][0-9]")}
        return found

    def instances(self) -> tuple[InstanceStatus, ...]:
        """Return the handlers."""
        variants = self.variants()
        return tuple(_status(name, variants[name]) for name in NAMES)

    def shadow_instances(self) -> tuple[InstanceStatus, ...]:
        """Return the shadow, running or not."""
        return (_status(SHADOW, "shadow" if SHADOW in self.variants() else "unknown"),)

    def set_variant(
        self,
        ids: Sequence[str],
        variant: Variant,
        *,
        epoch: int,
        max_unavailable: int | None = None,
    ) -> None:
        """Flip one after the other."""
        del max_unavailable
        self._moment(f"before {variant}")
        with self._fence.admitted(epoch, repair=variant == "ccxt"):
            for name in ids:
                self._fence.check(epoch)
                if self.variants()[name] != variant:
                    self._moment(f"before {name} becomes {variant}")
                    write_text(self._folder / name, variant)
                    self._moment(f"{name} became {variant}")
        self._moment(f"after {variant}")

    def wait_ready(
        self,
        ids: Sequence[str],
        variant: Variant | None,
        deadline_seconds: float,
        *,
        epoch: int | None = None,
    ) -> None:
        """Files are ready at once, or never."""
        if epoch is not None:
            self._fence.check(epoch, repair=True)
        found = self.variants()
        late = tuple(
            name for name in ids if name not in found or variant not in {None, found[name]}
        )
        if late:
            raise NotReady(late, dict.fromkeys(late, ("other variant",)), deadline_seconds)
        self._moment("ready")

    def remaining(self, ids: Sequence[str]) -> tuple[str, ...]:
        """All handlers that there ever were, and the shadow while it runs."""
        return tuple(name for name in ids if name in self.variants())

    def start_shadow(self, epoch: int) -> None:
        """Write the shadow's file."""
        self._moment("before the shadow starts")
        with self._fence.admitted(epoch):
            write_text(self._folder / SHADOW, "shadow")
        self._moment("shadow started")

    def stop_shadow(self, epoch: int) -> None:
        """Remove it."""
        self._moment("before the shadow stops")
        with self._fence.admitted(epoch):
            (self._folder / SHADOW).unlink(missing_ok=True)
        self._moment("shadow stopped")

    def log_tails(self, ids: Sequence[str], lines: int) -> Mapping[str, Sequence[str]]:
        """Return one line of each."""
        return dict.fromkeys(ids, ("a line",)[:lines])


def _status(name: str, variant: str) -> InstanceStatus:
    up = variant != "unknown"
    # messages go on by themselves
    count = int(time.monotonic() * 1_000_000) if up else 0
    return InstanceStatus(
        id=name,
        variant=variant,
        ready=up,
        healthy=up,
        reasons=(),
        url="",
        messages=count,
        pid=int(up),
    )
