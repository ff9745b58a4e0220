"""A fleet of FeedHandlers under one supervisord, driven over its XML-RPC.

The flag of an instance is in its file below `include_dir`; the file is what the instance becomes
on any start, so it is written first. Converging means: write the file, let supervisord read it,
restart what supervisord then calls changed. So the next attempt completes one cut short anywhere.
An instance that cannot be acted on is named when all others are done.
"""

import itertools
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from feed_migration.deployment import Deployment, Instance
from feed_migration.durable import write_text
from feed_migration.errors import (
    FleetUnavailable,
    InstanceStuck,
    NotReady,
    StaleEpoch,
    UsageError,
)
from feed_migration.fence import Fence
from feed_migration.fleet.base import InstanceStatus, Variant
from feed_migration.fleet.log_tail import log_tail
from feed_migration.fleet.setbacks import Setbacks
from feed_migration.fleet.snapshot import read_statuses
from feed_migration.fleet.supervisor_conf import STOP_WAIT_SECONDS, conf_path, program_conf
from feed_migration.fleet.supervisor_rpc import RUNNING, STOPPED, SupervisorRpc

_POLL_SECONDS = 0.1
# supervisord kills after STOP_WAIT_SECONDS, and looks once a second
_STOP_DEADLINE_SECONDS = STOP_WAIT_SECONDS + 5.0
_REMINDER_SECONDS = 1.0
# Who restarts an instance looks as often whether it is down: nobody does after so many in a row
_LEFT_DOWN_LOOKS = 30


class SupervisorFleet:
    """`Fleet` on supervisord; see `fleet.base` for what each act promises."""

    def __init__(
        self,
        deployment: Deployment,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._deployment = deployment
        self._rpc = SupervisorRpc(deployment.fleet.socket)
        self._fence = Fence(deployment.fence_file, monotonic=monotonic, sleep=sleep)
        self._monotonic = monotonic
        self._sleep = sleep

    @property
    def ready_deadline_seconds(self) -> float:
        """How long an instance may take to become ready."""
        return self._deployment.fleet.ready_deadline_seconds

    @property
    def max_unavailable(self) -> int:
        """How many instances a forward act restarts at a time."""
        return self._deployment.fleet.max_unavailable

    def epoch(self) -> int:
        """Return the highest epoch seen, 0 for none."""
        return self._fence.epoch()

    def write_initial(self, variant: Variant) -> None:
        """Write the files of all instances, before supervisord starts or to repair them.

        Nothing is restarted. Files of shadow instances are removed: they run only in their phase.
        """
        self._deployment.logs.mkdir(parents=True, exist_ok=True)
        self._deployment.fleet.include_dir.mkdir(parents=True, exist_ok=True)
        for instance in self._deployment.instances:
            self._write(instance, variant)
        for shadow in self._deployment.shadow_instances:
            conf_path(self._deployment, shadow.id).unlink(missing_ok=True)

    def instances(self) -> tuple[InstanceStatus, ...]:
        """Return every handler instance in the order of the deployment."""
        return self._statuses(self._deployment.instances)

    def shadow_instances(self) -> tuple[InstanceStatus, ...]:
        """Return the shadow instances, running or not."""
        return self._statuses(self._deployment.shadow_instances)

    def set_variant(
        self,
        ids: Sequence[str],
        variant: Variant,
        *,
        epoch: int,
        max_unavailable: int | None = None,
    ) -> None:
        """Flip and restart those of `ids` that are not right yet, batch by batch."""
        instances = self._named(ids)
        size = max_unavailable or self._deployment.fleet.max_unavailable
        # what fits into one batch is written at once, even where supervisord is down
        pending = instances if len(instances) <= size else self._wrong(instances, variant, epoch)
        batches = list(itertools.batched(pending, size, strict=False))
        for number, batch in enumerate(batches, start=1):
            with self._fence.admitted(epoch, repair=variant == "ccxt"):
                self._converge(batch, variant, epoch)
            if number < len(batches):
                deadline_seconds = self.ready_deadline_seconds
                self.wait_ready(_ids(batch), variant, deadline_seconds, epoch=epoch)

    def wait_ready(
        self,
        ids: Sequence[str],
        variant: Variant | None,
        deadline_seconds: float,
        *,
        epoch: int | None = None,
    ) -> None:
        """Return once all `ids` run `variant` and are ready, else raise `NotReady`."""
        waiting = self._named(ids)
        deadline = self._monotonic() + deadline_seconds
        while True:
            if epoch is not None:
                self._fence.check(epoch, repair=True)
            statuses = read_statuses(waiting)
            late = {s.id for s in statuses if not s.ready or variant not in {None, s.variant}}
            waiting = [instance for instance in waiting if instance.id in late]
            if not waiting:
                return
            if self._monotonic() >= deadline:
                reasons = {s.id: _reasons(s, variant) for s in self._statuses(waiting)}
                raise NotReady(_ids(waiting), reasons, deadline_seconds)
            self._sleep(_POLL_SECONDS)

    def remaining(self, ids: Sequence[str]) -> tuple[str, ...]:
        """Return which of `ids` have a file, or a program that supervisord still knows."""
        filed = {name for name in ids if conf_path(self._deployment, name).exists()}
        others = set(ids) - filed
        known = set(self._rpc.states()) if others else set()
        return tuple(name for name in ids if name in filed | known)

    def start_shadow(self, epoch: int) -> None:
        """Start the shadow instances; their configuration says that they run both feeds."""
        with self._fence.admitted(epoch):
            self._converge(self._deployment.shadow_instances, "ccxt", epoch)

    def stop_shadow(self, epoch: int) -> None:
        """Stop the shadow instances and remove their files."""
        names = _ids(self._deployment.shadow_instances)
        setbacks = Setbacks()
        with self._fence.admitted(epoch):
            for name in names:
                self._fence.check(epoch)
                with setbacks.of(name):
                    self._unlink(name)
            if names:
                self._reload(setbacks)
                running = [name for name in names if name in self._rpc.states()]
                self._stop(running, epoch, setbacks)
        setbacks.check()

    def log_tails(self, ids: Sequence[str], lines: int) -> dict[str, tuple[str, ...]]:
        """Return the last `lines` log lines of each of `ids`, redacted."""
        return {name: log_tail(self._deployment.log_file(name), lines) for name in ids}

    def _named(self, ids: Sequence[str]) -> list[Instance]:
        known = {
            instance.id: instance
            for instance in (*self._deployment.instances, *self._deployment.shadow_instances)
        }
        unknown = [name for name in ids if name not in known]
        if unknown:
            raise UsageError(f"no instance {', '.join(unknown)}", "see deployment.yaml for the ids")
        return [known[name] for name in ids]

    def _wrong(self, instances: Sequence[Instance], variant: Variant, epoch: int) -> list[Instance]:
        with self._fence.admitted(epoch, repair=variant == "ccxt"):
            added, changed, _ = self._rpc.reload()
            states = self._rpc.states()
        return [
            instance
            for instance in instances
            if instance.id in added | changed
            or not self._is_written(instance, variant)
            or states.get(instance.id, "STOPPED") not in RUNNING
        ]

    def _converge(self, instances: Sequence[Instance], variant: Variant, epoch: int) -> None:
        setbacks = Setbacks()
        for instance in instances:
            with setbacks.of(instance.id):
                self._write_fenced(instance, variant, epoch)
        self._fence.check(epoch)
        added, changed = self._reload(setbacks)
        # whose file could not be written stays as it is: a restart would bring the wrong feed
        names = setbacks.spared(_ids(instances))
        stale = [name for name in names if name in changed]

        def revive(name: str) -> None:
            self._rpc.add(name)
            # wakes supervisord, which would notice the new group only within a second
            self._rpc.start(name)

        for name in names:
            self._fence.check(epoch)
            with setbacks.of(name):
                if name in added:
                    revive(name)
                elif name not in changed:
                    self._rpc.start(name)
        self._stop(stale, epoch, setbacks, then=revive)
        setbacks.check()

    def _reload(self, setbacks: Setbacks) -> tuple[frozenset[str], frozenset[str]]:
        """Let supervisord read all files; returns which programs are new and which changed."""
        try:
            added, changed, _ = self._rpc.reload()
        except FleetUnavailable as error:
            setbacks.check(error)
            raise
        return added, changed

    def _stop(
        self,
        names: Sequence[str],
        epoch: int,
        setbacks: Setbacks,
        then: Callable[[str], None] | None = None,
    ) -> None:
        """Stop all `names` at once; each that is down is forgotten, and `then` is called for it."""
        for name in names:
            with setbacks.of(name):
                self._stop_fenced(name, epoch)
        left = setbacks.spared(names)
        began, reminded = self._monotonic(), False
        while left:
            # whoever slept here for long would end the processes of those who came after
            self._fence.check(epoch)
            left = self._forget_down(left, setbacks, then)
            waited = self._monotonic() - began
            if waited >= _STOP_DEADLINE_SECONDS:
                break
            if waited >= _REMINDER_SECONDS and not reminded:
                reminded = True
                self._remind(left, setbacks)
            if left:
                self._sleep(_POLL_SECONDS)
        for name in left:
            self._fence.check(epoch)
            with setbacks.of(name):
                raise InstanceStuck(f"{name} does not stop", "kill it, then repeat")

    def _stop_fenced(self, name: str, epoch: int) -> None:
        self._fence.check(epoch)
        hit = self._rpc.stop(name)
        try:
            self._fence.check(epoch)
        except StaleEpoch:
            # stopped between check and stop, so this came after a rollback, whose instance it hit
            if hit:
                self._leave_up(name)
            raise

    def _leave_up(self, name: str) -> None:
        """Start `name` again, unless whoever came later does or has taken it away.

        Looks are counted and not seconds, of which a process that is stopped sees none.
        """
        down_looks = 0
        for _ in range(int(_STOP_DEADLINE_SECONDS / _POLL_SECONDS) + _LEFT_DOWN_LOOKS):
            # one answer that does not come leaves the instance down no more than the others
            with suppress(FleetUnavailable):
                state = self._rpc.states().get(name)
                if state is None or state in RUNNING:
                    return
                down_looks = down_looks + 1 if state in STOPPED else 0
                if down_looks >= _LEFT_DOWN_LOOKS:
                    _, changed, removed = self._rpc.reload()
                    if name not in changed | removed:
                        self._rpc.start(name)
                        return
                    # supervisord would start it as it was: whoever wrote its file is about to
                    down_looks = 0
            self._sleep(_POLL_SECONDS)

    def _forget_down(
        self, names: Sequence[str], setbacks: Setbacks, then: Callable[[str], None] | None
    ) -> list[str]:
        """Return those of `names` that are still up."""
        up = self._still_up(names)
        for name in names:
            if name not in up:
                with setbacks.of(name):
                    self._rpc.remove(name)
                    if then is not None:
                        then(name)
        return up

    def _remind(self, names: Sequence[str], setbacks: Setbacks) -> None:
        for name in names:
            with setbacks.of(name):
                self._rpc.remind(name)

    def _still_up(self, names: Sequence[str]) -> list[str]:
        states = self._rpc.states()
        return [name for name in names if states.get(name, "STOPPED") not in STOPPED]

    def _is_written(self, instance: Instance, variant: Variant) -> bool:
        try:
            text = conf_path(self._deployment, instance.id).read_text()
        except OSError:
            return False
        return text == program_conf(self._deployment, instance, variant)

    def _write(self, instance: Instance, variant: Variant) -> bool:
        """Write the file of an instance, and return whether it was another one."""
        if self._is_written(instance, variant):
            return False
        path = conf_path(self._deployment, instance.id)
        try:
            write_text(path, program_conf(self._deployment, instance, variant))
        except OSError as error:
            raise _stuck_file(path, error) from error
        return True

    def _write_fenced(self, instance: Instance, variant: Variant, epoch: int) -> None:
        self._fence.check(epoch)
        was_other = self._write(instance, variant)
        try:
            self._fence.check(epoch)
        except StaleEpoch:
            # stopped between check and write, so this came after a rollback: the next start of
            # supervisord must not bring it up. What was there already is somebody else's by now
            if not was_other:
                raise
            if instance in self._deployment.shadow_instances:
                self._unlink(instance.id)
            else:
                self._write(instance, "ccxt")
            raise

    def _unlink(self, name: str) -> None:
        path = conf_path(self._deployment, name)
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise _stuck_file(path, error) from error

    def _statuses(self, instances: Sequence[Instance]) -> tuple[InstanceStatus, ...]:
        statuses = read_statuses(instances)
        if all(status.pid for status in statuses):
            return statuses
        words = self._supervised(instances)
        return tuple(
            status if status.pid else replace(status, reasons=(*status.reasons, words[status.id]))
            for status in statuses
        )

    def _supervised(self, instances: Sequence[Instance]) -> dict[str, str]:
        """Return what supervisord says of each instance, for those that do not speak themselves."""
        try:
            states = self._rpc.states()
        except FleetUnavailable:
            return dict.fromkeys(_ids(instances), "supervisord does not answer")
        return {name: f"supervisor: {states.get(name, 'not added')}" for name in _ids(instances)}


def _stuck_file(path: Path, error: OSError) -> InstanceStuck:
    return InstanceStuck(
        f"{path} cannot be written ({error.strerror})", "free the disk or fix its rights"
    )


def _ids(instances: Iterable[Instance]) -> tuple[str, ...]:
    return tuple(instance.id for instance in instances)


def _reasons(status: InstanceStatus, variant: Variant | None) -> tuple[str, ...]:
    wrong = variant is not None and status.variant not in {variant, "unknown"}
    first = (f"runs {status.variant} instead of {variant}",) if wrong else ()
    return (*first, *status.reasons) or ("not ready",)
