"""The same acts on a real supervisord with real processes, each killed once on its way."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from random import Random

from feed_migration.deployment import load_deployment
from feed_migration.fleet.supervisor import SupervisorFleet
from feed_migration.journal.keys import AuditPlace, make_key
from tests.chaos.actor import Actor, End
from tests.chaos.boundaries.course import ACT_SECONDS, Station
from tests.chaos.boundaries.disk_fleet import SHADOW
from tests.chaos.boundaries.moments import Moments, watch, watch_supervisor
from tests.chaos.boundaries.script import Act, Scene, take_back
from tests.chaos.boundaries.trial import Ended
from tests.chaos.boundaries.view import differences, look, not_rolled_back, wrongs
from tests.support.supervised_fleet import SupervisedFleet, supervised_fleet

# of an act with its writes and orders; a higher number comes too late for a short one
MOMENTS = 40
WAY_BACK = take_back("the way back")


def walk_supervised(
    stations: Sequence[Station], seeds: Sequence[int], report: Callable[[object], None]
) -> list[Ended]:
    """One migration per seed, taken back from wherever the seed says."""
    ended = []
    with supervised_fleet() as running:
        for seed in seeds:
            running.reset()
            make_key(AuditPlace.of(running.home, {}))
            walk = _Walk(running, seed)
            wrong = tuple(f"  {text}" for text in walk.run(stations))
            ended.append(Ended(f"supervisord {walk.at}", seed, walk.kills, wrong))
            if wrong:
                report(ended[-1])
    return ended


class _Walk:
    def __init__(self, running: SupervisedFleet, seed: int) -> None:
        self.kills = 0
        self.at = ""
        self._running, self._home = running, running.home
        self._rng = Random(f"walk:{seed}")

    def run(self, stations: Sequence[Station]) -> Iterator[str]:
        """Up to the first thing that is wrong."""
        forward = [station for station in stations if station.act.forward]
        movers = [place for place, station in enumerate(forward) if station.act.moves]
        for station in forward[: self._rng.choice(movers) + 1]:
            wrong = [*self._moved(station)]
            if wrong:
                yield from wrong
                return
        self.at = "rollback"
        yield from self._until_done(WAY_BACK, killed=True)
        scene, runs = self._scene(), self._runs()
        yield from wrongs(scene, runs)
        yield from not_rolled_back(look(scene, runs))

    def _moved(self, station: Station) -> Iterator[str]:
        self.at = station.act.name
        yield from self._until_done(station.act, killed=station.act.moves)
        if station.act.moves:
            scene, runs = self._scene(), self._runs()
            yield from wrongs(scene, runs)
            yield from differences(station.after, look(scene, runs))

    def _until_done(self, act: Act, *, killed: bool) -> Iterator[str]:
        end = self._perform(act, self._rng.randrange(MOMENTS) if killed else None)
        if end.refusal == "killed":
            self.kills += 1
            end = self._perform(act, None)
        if not end.done:
            yield f"{act.name} was refused: {end.refusal} {end.text}"

    def _perform(self, act: Act, fatal: int | None) -> End:
        def work() -> None:
            moments = Moments(fatal)
            watch(moments)
            watch_supervisor(moments)
            act.do(self._scene())

        return Actor(work, self._home / "actors.log").end(ACT_SECONDS)

    def _scene(self) -> Scene:
        return Scene(self._home, _fleet(self._home))

    def _runs(self) -> dict[str, str]:
        (shadow,) = self._running.fleet.shadow_instances()
        return self._running.variants() | ({SHADOW: "shadow"} if shadow.pid else {})


def _fleet(home: Path) -> SupervisorFleet:
    return SupervisorFleet(load_deployment(home, {}))
