"""Airflow's own web server on loopback, with the console in it and users of every role."""

import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

from tests.airflow.conftest import (
    airflow_database,  # noqa: F401 - a fixture
    forget_questions,
    leftovers_of_airflow,  # noqa: F401 - a fixture
)
from tests.console.scene import Scene, open_scene
from tests.support.conditions import eventually_sync


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Airflow's own warnings are not ours to fail on."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.airflow)
            item.add_marker(pytest.mark.filterwarnings("ignore"))


@pytest.fixture(scope="session")
def airflow_url(airflow_database: None) -> Iterator[str]:  # noqa: F811 - pytest's way
    """The address of an api-server that serves UI, REST and plugins, with Airflow's own login."""
    import uvicorn
    from airflow.api_fastapi.app import create_app

    config = uvicorn.Config(create_app(apps="core"), host="127.0.0.1", port=0, log_level="warning")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    eventually_sync(lambda: server.started, timeout_seconds=30)
    port = server.servers[0].sockets[0].getsockname()[1]
    yield f"http://127.0.0.1:{port}"
    server.should_exit = True
    thread.join(20)


@pytest.fixture
def scene(airflow_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Scene]:
    """A deployment of ten instances in memory, with an empty journal."""
    monkeypatch.setenv("BACKPACK_HOME", str(tmp_path))
    monkeypatch.setenv("BACKPACK_PLAN", str(Path(__file__).with_name("plan.yaml")))
    monkeypatch.delenv("PROMETHEUS_URL", raising=False)
    scene = open_scene(tmp_path, airflow_url)
    monkeypatch.setattr("feed_migration.console.feeders.open_fleet", lambda _: scene.fleet)
    yield scene
    scene.close()
    forget_questions()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Headless Chromium, as set-up installs it."""
    executable = shutil.which("chromium")
    assert executable, "Chromium is missing: run tools/setup.sh"
    with sync_playwright() as playwright:
        # a container's root has no user namespaces, and a small /dev/shm
        arguments = ["--no-sandbox", "--disable-dev-shm-usage"]
        browser = playwright.chromium.launch(executable_path=executable, args=arguments)
        yield browser
        browser.close()
