"""The watch's thread: what hangs is given up, what fails is asked again."""

import threading

import pytest

from feed_migration.guard.watcher import HANG_SECONDS, HANGING, Watcher
from tests.support.conditions import eventually_sync
from tests.unit.test_guard_watch import EXPOSED, GATE


class Scene:
    """Watches of which each next one does as `poll` says; `begun` counts them."""

    def __init__(self) -> None:
        self.now, self.begun, self.release = 0.0, 0, threading.Event()
        self.poll = self.hang
        self.watcher = Watcher(self.begin, lambda: self.now)

    def hang(self, *_):
        self.release.wait(60)

    def begin(self):
        self.begun += 1
        scene = self

        class Fake:
            at_work = True

            def poll(self, *arguments):
                return scene.poll(*arguments)

        return Fake()

    def look(self):
        return self.watcher.look(EXPOSED, GATE, 2, None)


@pytest.fixture
def scene():
    made = Scene()
    yield made
    made.release.set()
    made.watcher.close()


def test_a_watch_that_hangs_is_replaced(scene):
    """A reply that never ends must not be the last question the guard ever asks."""
    scene.look()
    scene.now = HANG_SECONDS
    scene.look()
    assert scene.begun == 1
    scene.now += 1.0
    scene.poll = lambda *_: "breach"
    scene.look()
    assert scene.begun == 2
    assert eventually_sync(scene.look) == "breach"


def test_watches_that_all_hang_do_not_fill_the_process(scene):
    """A few threads; then it waits until one of them comes back."""
    for _ in range(20):
        scene.look()
        scene.now += HANG_SECONDS + 1.0
    assert scene.begun == 1 + HANGING
    scene.poll = lambda *_: "breach"
    scene.release.set()
    assert eventually_sync(scene.look) == "breach"


def test_a_watch_that_fails_is_asked_again(scene, caplog):
    """Told once a failure, and nothing is found by it."""

    def fail(*_):
        raise ValueError("odd")

    scene.poll = fail
    eventually_sync(lambda: scene.look() or "could not be judged" in caplog.text)
    scene.poll = lambda *_: "breach"
    assert eventually_sync(scene.look) == "breach"
