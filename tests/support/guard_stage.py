"""A migration at 50 % over a real journal, and guards whose clocks are in the test's hand."""

from contextlib import closing
from pathlib import Path
from sqlite3 import connect

import yaml

from feed_migration import cutover
from feed_migration.deployment import Deployment, load_deployment
from feed_migration.guard.process import Guard
from feed_migration.journal.store import Journal
from feed_migration.plan.reader import load_plan
from tests.support.guard_process import QUICK_PLAN
from tests.support.lost_journal import lose, put_back
from tests.support.memory_fleet import MemoryFleet
from tests.support.migration_plans import gate

STEP = "cutover-50"
BLIND_LIMIT_SECONDS = 60.0
PLAN = QUICK_PLAN.replace("blind_limit: 5s", f"blind_limit: {BLIND_LIMIT_SECONDS:g}s")


class Clock:
    """Wall and monotonic time, by the second that the test says."""

    def __init__(self) -> None:
        self.unix, self.monotonic = 1_790_000_000.0, 5000.0

    def passes(self, seconds: float) -> None:
        self.unix += seconds
        self.monotonic += seconds


class Stage:
    """One deployment with a migration at 50 %, and guards over it."""

    def __init__(self, home) -> None:
        self.clock = Clock()
        document = {
            "prometheus_url": "http://127.0.0.1:9",
            "fleet": {"kind": "supervisor", "socket": "none.sock", "ready_deadline_seconds": 1},
            "instances": [{"id": f"feed-{i:02}", "url": "http://127.0.0.1:9"} for i in range(4)],
            "venue": {"rest_url": "http://127.0.0.1:9", "ws_url": "ws://127.0.0.1:9"},
        }
        (home / "deployment.yaml").write_text(yaml.safe_dump(document))
        self.plan_path = home / "plan.yaml"
        self.plan_path.write_text(PLAN)
        self.plan = load_plan(self.plan_path)
        self.deployment = load_deployment(home, {})
        self.moves_to(
            Journal(self.deployment.journal_url, home=home, clock=lambda: self.clock.unix)
        )
        self.fleet = MemoryFleet(4)

    def goes_to(self, name: str) -> None:
        """Take the migration on until `name` has acted, the happy way."""
        for step in self.plan.steps:
            cutover.advance(step, self.plan, self.fleet, self.journal, self.migration_id, "ana")
            if step.name == name:
                return
            if step.gate is not None:
                gate(self.journal, self.migration_id, step.name)
            cutover.promote(step, self.plan, self.journal, self.migration_id, "ana")

    def says(self, kind: str, **body) -> None:
        self.journal.append(kind, migration_id=self.migration_id, actor="ana", body=body)

    def journal_goes_away(self) -> None:
        """Its file cannot be opened from now on."""
        lose(self._database)

    def back_up(self) -> bytes:
        """Return the journal as it is now."""
        copy = self.deployment.home / "backup.db"
        with closing(connect(self._database)) as source, closing(connect(copy)) as target:
            source.backup(target)
        raw = copy.read_bytes()
        copy.unlink()
        return raw

    def restore(self, backup: bytes) -> None:
        """Put the journal back to what it was then: a backup, or a standby that lagged."""
        put_back(self._database, backup)

    @property
    def _database(self) -> Path:
        return self.deployment.home / "journal.db"

    def moves_to(self, journal: Journal) -> None:
        """Begin the migration in another journal."""
        self.journal = journal
        self.migration_id = journal.begin_migration(
            self.plan.name, self.plan.sha256, "ana", steps=self.plan.steps
        )

    def guard(self) -> Guard:
        return self.guard_over(self.deployment)

    def guard_over(self, deployment: Deployment) -> Guard:
        return Guard(
            deployment,
            self.plan_path,
            actor="guard:here",
            clock=lambda: self.clock.unix,
            monotonic=lambda: self.clock.monotonic,
        )
