"""What a guard's own watch asks, without a Prometheus and without a thread."""

from concurrent.futures import Future

from feed_migration.model import Answer
from tests.support.guard_stage import Stage


class SeeingAll:
    """A Prometheus that sees every instance on native; `asked` counts its questions.

    Its clock is `ahead_seconds` ahead of the stage's.
    """

    def __init__(self, stage: Stage) -> None:
        self.stage, self.asked, self.value, self.ahead_seconds = stage, 0, 0.5, 0.0

    def now_unix(self):
        return self.stage.clock.unix + self.ahead_seconds

    def answer(self, criterion, at_unix, *, again=False):
        self.asked += 1
        native = self.stage.fleet.native
        series = tuple(((("instance_id", name),), self.value) for name in native)
        return Answer(series=series, baseline=(((), 4.0),))

    def history(self, criterion, first_unix, step_seconds, count):
        return [self.answer(criterion, first_unix)] * count


class AtOnce:
    """A thread that has always finished."""

    def __init__(self, *_, **__) -> None:
        pass

    def submit(self, call, *arguments):
        done = Future()
        done.set_result(call(*arguments))
        return done

    def shutdown(self, **_):
        pass


def asked_at_once(stage: Stage, monkeypatch) -> SeeingAll:
    """Return what guards of the stage ask from now on; the fleet that they take back is its own."""
    made = SeeingAll(stage)
    monkeypatch.setattr("feed_migration.guard.process.PrometheusSource", lambda *_: made)
    monkeypatch.setattr("feed_migration.guard.watcher.ThreadPoolExecutor", AtOnce)
    monkeypatch.setattr("feed_migration.guard.reverting.open_fleet", lambda _: stage.fleet)
    return made


def passes(stage: Stage, guard, seconds: float) -> None:
    """Let that much time pass over the guard's rounds, two a second."""
    for _ in range(int(seconds * 2)):
        stage.clock.passes(0.5)
        guard.poll()
