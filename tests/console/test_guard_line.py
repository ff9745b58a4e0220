"""The console says how the guard is, as `status` does: asked by a thread of its own."""

import time

import pytest
import yaml
from playwright.sync_api import expect
from prometheus_client import CollectorRegistry

from feed_migration.guard.endpoints import listening
from feed_migration.guard.sight import Health
from tests.console.browsing import opened

pytestmark = pytest.mark.timeout(120)


def name_guard(scene, url):
    """Let deployment.yaml say where the guard is."""
    path = scene.home / "deployment.yaml"
    path.write_text(yaml.safe_dump({**yaml.safe_load(path.read_text()), "guard_url": url}))


def test_a_person_sees_how_the_guard_is(browser, scene):
    """While it watches, and from when it is down: then with what to do, and in a colour of its own."""
    now = Health(polled_monotonic=time.monotonic(), watching=True)
    with listening("127.0.0.1", 0, lambda: now, CollectorRegistry(), lambda: 0.0) as port:
        name_guard(scene, f"http://127.0.0.1:{port}")
        with opened(browser, scene) as page:
            said = page.locator("#guard")
            expect(said).to_have_text("Guard: watches what is exposed, because nobody else does")
            expect(said).to_have_class("muted")
            name_guard(scene, "http://127.0.0.1:9")
            expect(said).to_contain_text("Guard: does not answer: start it, or roll back what is")
            expect(said).to_have_class("problem")
