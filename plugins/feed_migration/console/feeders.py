"""What the board of a deployment is fed from.

Journal, fleet, guard, parity files, the chain's proof, and whether Airflow's scheduler and
triggerer are heard.
"""

import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from feed_migration.addresses import addresses_of
from feed_migration.console.board import Board, Feeder
from feed_migration.console.fleet_view import away_since, fleet_view, moving
from feed_migration.console.journal_reading import JournalReading
from feed_migration.console.parity_view import parity_view
from feed_migration.console.told import Silence, standing_notice
from feed_migration.console.view import PendingApproval
from feed_migration.dag_run import Driver
from feed_migration.deployment import FILE_NAME, Deployment, load_deployment
from feed_migration.errors import Refused
from feed_migration.fleet.base import Fleet, InstanceStatus
from feed_migration.fleet.choice import open_fleet
from feed_migration.guard.asking import ask_guard
from feed_migration.journal.pages import PagedJournal
from feed_migration.model import Plan
from feed_migration.report.parity import read_parity

POLL_SECONDS = 1.0
GUARD_SECONDS = 2.0
PARITY_SECONDS = 5.0
CHAIN_SECONDS = 5.0
AIRFLOW_SECONDS = 2.0
# A read may take that share of a core: a fleet of 1,000 is asked every few seconds
FLEET_SHARE = 0.3
CHAIN_SHARE = 0.02


@dataclass
class Sources:
    """Opens what a deployment names, late and again where it has changed or failed."""

    home: Path
    read_plan: Callable[[], Plan]
    open_journal: Callable[[Deployment], PagedJournal]
    pending: Callable[[], Sequence[PendingApproval]]
    plan_path: Path
    run_state: Callable[[Driver], str] = lambda _: ""
    silences: Callable[[], tuple[Silence | None, Silence | None]] = lambda: (None, None)
    clock: Callable[[], float] = time.time  # noqa: TID251 - the edge of the process
    _plan: tuple[object, Plan] | None = None
    _opened: tuple[object, Deployment] | None = None
    _reading: tuple[object, JournalReading] | None = None
    _fleet: tuple[object, Fleet] | None = None
    _statuses: tuple[InstanceStatus, ...] = ()
    _away: dict[str, float] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @cached_property
    def board(self) -> Board:
        """The board that these sources feed."""
        return Board(
            feeders=(
                Feeder(name="journal", read=self._read_journal, pause=lambda _: POLL_SECONDS),
                Feeder(name="fleet", read=self._read_fleet, pause=_paced(FLEET_SHARE)),
                Feeder(name="guard", read=self._read_guard, pause=lambda _: GUARD_SECONDS),
                Feeder(name="parity", read=self._read_parity, pause=lambda _: PARITY_SECONDS),
                Feeder(
                    name="chain", read=self._read_chain, pause=_paced(CHAIN_SHARE, CHAIN_SECONDS)
                ),
                Feeder(name="airflow", read=self._read_airflow, pause=lambda _: AIRFLOW_SECONDS),
            ),
            clock=self.clock,
        )

    def deployment(self) -> Deployment:
        """Return the deployment as its file says now."""
        mark = _mark(self.home / FILE_NAME)
        with self._lock:
            if self._opened is None or self._opened[0] != mark:
                self._opened = (mark, load_deployment(self.home))
            return self._opened[1]

    def plan(self) -> Plan:
        """Return the plan as its file says now; raises PlanError."""
        mark = _mark(self.plan_path)
        if self._plan is None or self._plan[0] != mark:
            self._plan = (mark, self.read_plan())
        return self._plan[1]

    def reading(self) -> JournalReading:
        """Return what follows the journal of the deployment."""
        deployment = self.deployment()
        with self._lock:
            if self._reading is None or self._reading[0] is not deployment:
                journal = self.open_journal(deployment)
                reading = JournalReading(
                    journal,
                    self.plan,
                    self.pending,
                    addresses_of(deployment),
                    run_state=self.run_state,
                )
                self._reading = (deployment, reading)
            return self._reading[1]

    def instance(self, name: str) -> Mapping[str, Any]:
        """Return one instance as it was last seen; raises Refused where there is none."""
        for status in self._statuses:
            if status.id == name:
                return asdict(status)
        raise Refused(f"no instance {name[:80]!r}", "it may have been removed from the deployment")

    def _read_journal(self) -> Mapping[str, Any]:
        return self.reading().sections()

    def _read_fleet(self) -> Mapping[str, Any]:
        deployment = self.deployment()
        if self._fleet is None or self._fleet[0] is not deployment:
            self._fleet = (deployment, open_fleet(deployment))
        fleet = self._fleet[1]
        instances, shadows = fleet.instances(), fleet.shadow_instances()
        self._statuses = (*instances, *shadows)
        now_unix = self.clock()
        self._away = away_since(self._away, self._statuses, now_unix, self._moving())
        view = fleet_view(
            instances,
            shadows,
            away_since=self._away,
            now_unix=now_unix,
            ready_deadline_seconds=fleet.ready_deadline_seconds,
        )
        return {"fleet": view}

    def _moving(self) -> Collection[str]:
        """Return the instances that an act moves, as far as the journal has been read."""
        state = self._reading[1].state if self._reading else None
        return moving(state) if state else ()

    def _read_guard(self) -> Mapping[str, Any]:
        answer = ask_guard(self.deployment().guard_url)
        return {"guard": {"state": str(answer.state), "text": answer.text}}

    def _read_parity(self) -> Mapping[str, Any]:
        return {"parity": parity_view(read_parity(self.deployment().parity_folder))}

    def _read_chain(self) -> Mapping[str, Any]:
        result = self.reading().journal.verify()
        return {"chain": {**asdict(result), "checked_at": self.clock()}}

    def _read_airflow(self) -> Mapping[str, Any]:
        return {"airflow": {"notice": standing_notice(*self.silences())}}


def _paced(share: float, at_least: float = POLL_SECONDS) -> Callable[[float], float]:
    """Return pauses after which reading takes at most `share` of the time."""
    return lambda took_seconds: max(at_least, took_seconds * (1 / share - 1))


def _mark(path: Path) -> object:
    """Return what changes with the file, None where it is not there."""
    try:
        facts = path.stat()
    except OSError:
        return None
    return facts.st_mtime_ns, facts.st_size
