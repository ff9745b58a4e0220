"""A deployment at a shell: its Airflow, and migrations in its journal."""

import json

import pytest

from feed_migration import cutover, resuming
from feed_migration.journal.store import Journal
from tests.cli.shell import RUN, STEP, open_gate, ticking, write_deployment
from tests.support.memory_fleet import MemoryFleet
from tests.support.migration_plans import PLAN, approve, begin, gate, pass_steps
from tests.support.small_airflow import small_airflow


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A deployment of which nothing runs."""
    for name in ("AIRFLOW_URL", "AIRFLOW_USERNAME", "AIRFLOW_PASSWORD", "AIRFLOW_PASSWORD_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("BACKPACK_HOME", str(tmp_path))
    monkeypatch.setattr("getpass.getuser", lambda: "bo")
    monkeypatch.setattr(resuming, "_POLL_SECONDS", 0.01)
    write_deployment(tmp_path)
    return tmp_path


@pytest.fixture
def airflow(home):
    """An Airflow of that deployment that answers."""
    with small_airflow() as airflow:
        write_deployment(home, airflow={"url": airflow.url, "password_file": "passwords.json"})
        (home / "passwords.json").write_text(json.dumps({"admin": airflow.password}))
        yield airflow


@pytest.fixture
def journal(airflow, home):
    """Half of the fleet on native, and its gate open."""
    journal = Journal(home / "journal.db")
    migration_id, fleet = begin(journal), MemoryFleet()
    note = {"note": "joined", "turn": 1, "dag_id": "backpack_migration", "run_id": RUN}
    journal.append("audit_note", migration_id=migration_id, actor="ana", body=note)
    pass_steps(journal, fleet, migration_id, until=STEP)
    approve(journal, migration_id, STEP)
    cutover.advance(PLAN.step(STEP), PLAN, fleet, journal, migration_id, "ana")
    open_gate(journal)
    return journal


@pytest.fixture
def migrated(home):
    """A journal at 50 % whose last gate held."""
    journal = Journal(home / "journal.db", clock=ticking())
    migration_id = begin(journal)
    pass_steps(journal, MemoryFleet(), migration_id, until="cutover-50")
    gate(journal, migration_id, "cutover-50", "Hold")
    body = {"step": "cutover-50", "reason": "coverage 0.80 is below 0.95"}
    journal.append("held", migration_id=migration_id, actor="gate cutover-50", body=body)
    return journal
