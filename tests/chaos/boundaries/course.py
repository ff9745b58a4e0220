"""The course of the script, recorded once: before each act the state directory, and its moments."""

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from feed_migration.journal.keys import AuditPlace, make_key
from tests.chaos.actor import Act as Work
from tests.chaos.actor import Actor, End
from tests.chaos.boundaries.disk_fleet import NAMES, DiskFleet
from tests.chaos.boundaries.moments import Moments, watch
from tests.chaos.boundaries.script import PLAN, Act, Scene, forward_acts, take_back, watch_gate
from tests.chaos.boundaries.view import View, look, off_course
from tests.support.supervised_fleet import write_deployment

ACT_SECONDS = 60.0
# of a whole rollback: while shadows run, from half the fleet after its gate said so, from the end
_TAKEN_BACK = {
    "shadow gate": "rollback of the shadow",
    "cutover-50 gate": "rollback of a half",
    "": "rollback of a promoted",
}


@dataclass(frozen=True)
class Station:
    """An act, the directory that it begins in, the moments of it, and what is seen after it."""

    act: Act
    home: Path
    moments: tuple[str, ...]
    after: View
    rest: tuple[Act, ...] = ()

    def places(self) -> Iterator[str]:
        """A name for each moment: act/number, and what happens there."""
        for number, label in enumerate(self.moments):
            yield f"{self.act.name}/{number} {label}"


def record(folder: Path) -> list[Station]:
    """Run the whole script and its rollbacks, every act in a process of its own."""
    acts = [*forward_acts()]
    stations, home = [], _beginning(folder / "beginning")
    for place, act in enumerate(acts):
        if act.name in _TAKEN_BACK:
            stations.append(_way_back(folder, home, act.name))
        stations.append(_station(folder, home, act, rest=tuple(acts[place + 1 :])))
        home = _copied(home, folder / f"after {act.name}")
        _done(perform(home, act))
    stations.append(_way_back(folder, home, ""))
    for station in stations:
        for wrong in off_course(station.act.name, station.after):
            raise RuntimeError(wrong)
        if not station.moments:
            raise RuntimeError(f"{station.act.name} writes nothing and acts on nothing")
    return stations


def perform(home: Path, act: Act, fatal: int | None = None) -> End:
    """Do `act` in a new process, which dies at moment `fatal`; its moments go to a file."""
    return Actor(_work(home, act, fatal), home / "actors.log").end(ACT_SECONDS)


def open_scene(home: Path) -> Scene:
    """Open it as the next process does."""
    return Scene(home, DiskFleet(home))


def copied(station: Station, target: Path) -> Path:
    """A fresh copy of the directory that the act begins in."""
    return _copied(station.home, target)


def _work(home: Path, act: Act, fatal: int | None) -> Work:
    def work() -> None:
        moments = Moments(fatal)
        watch(moments)
        act.do(Scene(home, DiskFleet(home, moments.passed)))
        (home / "moments.json").write_text(json.dumps(moments.labels))

    return work


def _beginning(home: Path) -> Path:
    write_deployment(home, len(NAMES), 1)
    make_key(AuditPlace.of(home, {}))
    return home


def _station(folder: Path, home: Path, act: Act, rest: tuple[Act, ...] = ()) -> Station:
    dry = _copied(home, folder / "dry")
    _done(perform(dry, act))
    moments = tuple(json.loads((dry / "moments.json").read_text()))
    scene = open_scene(dry)
    return Station(act, home, moments, look(scene, DiskFleet(dry).variants()), rest)


def _way_back(folder: Path, home: Path, before: str) -> Station:
    """A rollback from here; of a gate, after it has said Rollback."""
    act = take_back(_TAKEN_BACK[before])
    base = _copied(home, folder / act.name)
    if before:
        step = PLAN.step(before.split(maxsplit=1)[0])
        _done(perform(base, Act(before, lambda scene: watch_gate(scene, step, 99.0))))
    return _station(folder, base, act)


def _copied(source: Path, target: Path) -> Path:
    shutil.rmtree(target, ignore_errors=True)
    # the reserve is room for a full disk, made anew by whoever opens the journal
    shutil.copytree(source, target, ignore=shutil.ignore_patterns("*.reserve", "actors.log"))
    return target


def _done(end: End) -> None:
    if not end.done:
        raise RuntimeError(end.text)
