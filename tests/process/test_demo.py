"""The whole embedded stack, as a newcomer runs it: one migration promoted, one taken back."""

import signal
from dataclasses import replace

import pytest

from tests.secrecy.demo_places import WatchedDemo, watched
from tests.secrecy.search import Place
from tests.support.conditions import eventually_sync
from tests.support.demo_run import DEADLINE_SECONDS, demos
from tools.demo.layout import ports_in_use

pytestmark = [
    pytest.mark.process,
    pytest.mark.alone,
    pytest.mark.timeout(DEADLINE_SECONDS + 60),
]
# the shell of somebody who has another Airflow
OTHER_AIRFLOW = {
    "AIRFLOW_HOME": "/nowhere",
    "AIRFLOW__API_AUTH__JWT_SECRET": "a-secret-of-another-airflow-0123456789abcdef",
    "AIRFLOW__CORE__PARALLELISM": "0",
    "AIRFLOW__LOGGING__LOGGING_LEVEL": "ERROR",
}
# each of these begins within a whole migration; the checks of the dry run live for seconds
PROGRAMS = (
    "supervisord",
    "backpack-sandbox serve",
    "prometheus --config.file",
    "backpack-migrate guard",
    "backpack-feed run --config",
    "airflow db migrate",
    "airflow api-server",
    "airflow dag-processor",
    "airflow scheduler",
    "airflow triggerer",
    "-m pytest",
    "-m tools.backpack_auth_check",
)


@pytest.fixture(scope="module")
def survivor(tmp_path_factory) -> WatchedDemo:
    """Scheduler, triggerer and a FeedHandler die by kill -9 in a migration that is watched."""
    with watched(tmp_path_factory.mktemp("survivor"), variables=OTHER_AIRFLOW) as run:
        demo = run.demo
        demo.reach("shadow")
        demo.kill("airflow", "triggerer")
        demo.kill("airflow", "scheduler")
        demo.reach("cutover-50")
        demo.kill("backpack-feed", "feed-03.yaml")
        demo.reach("stabilisation")
        run.conclude()
    return run


def test_migration_ends_promoted_though_parts_are_killed(survivor):
    """Every instance still ends on native, no trade is lost, and nothing is left running."""
    demo = survivor.demo
    assert survivor.exit_code == 0, demo.log()
    report = demo.report()
    assert report["outcome"] == "promoted"
    assert report["instances"] == {"native": 4}
    assert report["dag_run_state"] == "success"
    assert report["audit_ok"] is True
    assert report["trades_published"] > 100
    assert (report["trades_missing"], report["trades_duplicated"]) == (0, 0)
    assert demo.left_behind() == ([], {})


def test_no_secret_is_outside_its_file_after_a_whole_migration(survivor):
    """Not in logs, XCom, fields, databases, metrics, audit, pages, command lines, environments."""
    leaked, missed = survivor.leaked_and_missed()
    assert leaked == []
    assert missed == set()
    assert {one.file.stat().st_mode & 0o777 for one in survivor.kept()} == {0o600}


def test_a_seed_on_one_page_more_would_be_noticed(survivor):
    """The same check of the same run, with a decoy."""
    seed = next(secret for secret in survivor.secrets() if "seed" in secret.name)
    decoy = Place("page", "/metrics", b'feed_up{key="%s"} 1' % seed.raw.hex().encode())
    leaked, _ = replace(survivor, shown=[*survivor.shown, decoy]).leaked_and_missed()
    (told,) = leaked
    assert told.startswith("the fleet's seed (")
    assert told.endswith(" in page /metrics")


def test_the_search_for_secrets_has_been_everywhere(survivor):
    """It finds words of the migration wherever they are told, and has seen every program."""
    (migration_id,) = {page.stem for page in survivor.demo.home.glob("docs/migrations/mig-*Z.md")}
    of_the_credential_check = "the venue accepted GET /api/v1/capital"
    assert survivor.kinds_of_places_with(migration_id, of_the_credential_check) >= {
        "file",
        "path",
        "database rows",
        "audit export",
        "Airflow's API",
        "log of a task",
        "XCom",
        "page",
    }
    assert [program for program in PROGRAMS if not survivor.processes.saw(program)] == []


def test_fault_in_cutover_is_taken_back(tmp_path):
    """A venue that starves native clients makes the migration take itself back and say so."""
    with watched(tmp_path, "--fault", "schema_drift") as run:
        demo = run.demo
        assert demo.finish() == 0, demo.log()
    report = demo.report()
    assert report["outcome"] == "rolled_back"
    assert report["instances"] == {"ccxt": 4}
    assert report["dag_run_state"] == "failed"
    assert report["breach_to_rollback_s"] > 0
    assert (report["trades_missing"], report["trades_duplicated"]) == (0, 0)
    incident = (demo.home / "docs" / "migrations" / "backpack_ccxt.md").read_text()
    assert "dropped_messages" in incident
    # the page of the incident quotes logs
    assert run.leaked_and_missed() == ([], set())
    assert demo.left_behind() == ([], {})


def test_interrupted_demo_leaves_nothing_running(tmp_path):
    """Ctrl-C while the fleet starts ends every process and frees every port."""
    with demos(tmp_path) as start:
        demo = start()
        eventually_sync(lambda: ports_in_use(demo.layout).keys() >= {"feed-00"}, 90, demo.log)
        demo.process.send_signal(signal.SIGINT)
        assert demo.process.wait(60) == 130
    assert demo.left_behind() == ([], {})
