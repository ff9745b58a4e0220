"""One kill: at a moment of an act, and what recovery makes of what is left."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random

from feed_migration.phases import Status
from tests.chaos.actor import End
from tests.chaos.boundaries.course import Station, copied, open_scene, perform
from tests.chaos.boundaries.disk_fleet import DiskFleet
from tests.chaos.boundaries.script import ANOTHER, Act, refused, take_back
from tests.chaos.boundaries.view import (
    View,
    differences,
    evidence,
    look,
    not_rolled_back,
    wrongs,
)

WAY_BACK = take_back("the way back")
# longer than any rollback: some of the second kills come too late
_WAY_BACK_MOMENTS = 70
_AGAIN = (0, 0, 0, 1, 2)


@dataclass(frozen=True)
class Trial:
    """SIGKILL at moment `number` of the act; the seed chooses how it is recovered from."""

    station: Station
    number: int
    seed: int

    @property
    def place(self) -> str:
        """Act and number, for `--only`."""
        return f"{self.station.act.name}/{self.number}"


@dataclass(frozen=True)
class Ended:
    """How many processes were killed, and what is illegal about the end."""

    place: str
    seed: int
    kills: int
    wrong: tuple[str, ...]

    def __str__(self) -> str:
        """What was found, and how to see it again."""
        again = f"""PART=boundaries SEED={self.seed} ARGS="--count 1 --only '{self.place}'" """
        head = f"boundary {self.place}, seed {self.seed}: WRONG"
        return "\n".join([head, *self.wrong, f"  again: make chaos {again.strip()}"])


def attempt(trial: Trial, folder: Path) -> Ended:
    """Kill, recover, look; the directory stays where something is wrong."""
    home = copied(trial.station, folder / f"{trial.place.replace('/', ' ')} {trial.seed}")
    one = _Attempt(trial, home)
    wrong = [f"  {text}" for text in one.run()]
    if wrong:
        wrong.append(evidence(home))
    else:
        shutil.rmtree(home)
    return Ended(trial.place, trial.seed, one.kills, tuple(wrong))


class _Attempt:
    def __init__(self, trial: Trial, home: Path) -> None:
        self.kills = 0
        self._trial, self._station, self._home = trial, trial.station, home
        self._rng = Random(f"boundary:{trial.place}:{trial.seed}")

    def run(self) -> Iterator[str]:
        act = self._station.act
        end = self._perform(act, self._trial.number)
        if end.refusal != "killed":
            yield f"the moment was not reached: {end}"
            return
        # by half: whoever opens the journal makes good what can be made good
        if self._rng.random() < 0.5:
            yield from self._wrongs()
        # before there is a migration there is nothing to take back
        if act.forward and act.name != "begin" and self._rng.random() < 0.35:
            yield from self._taken_back()
        else:
            yield from self._repeated()

    def _repeated(self) -> Iterator[str]:
        """The same call again, perhaps killed again, ends in the state after it."""
        act = self._station.act
        yield from self._until_done(act, len(self._station.moments))
        yield from self._wrongs()
        seen = self._look()
        if not act.forward:
            yield from not_rolled_back(seen)
            return
        yield from differences(self._station.after, seen)
        if self._rng.random() < 0.1:
            yield from self._gone_on()

    def _gone_on(self) -> Iterator[str]:
        """Nothing of the kill is in the way of the rest of the migration."""
        rest = Act("rest", lambda scene: [act.do(scene) for act in self._station.rest])
        yield from self._until_done(rest, 0)
        yield from self._wrongs()
        status = self._look().state["status"]
        if status != Status.PROMOTED:
            yield f"the migration ends {status}"

    def _taken_back(self) -> Iterator[str]:
        """Somebody else rolls back instead; who was killed finds that it is over."""
        act = self._station.act
        yield from self._until_done(WAY_BACK, _WAY_BACK_MOMENTS)
        yield from self._wrongs()
        yield from not_rolled_back(self._look())
        if act.moves:
            if not refused(open_scene(self._home), act):
                yield f"{act.name} went on after the rollback"
            yield from not_rolled_back(self._look())

    def _until_done(self, act: Act, moments: int) -> Iterator[str]:
        for _ in range(self._rng.choice(_AGAIN) if moments else 0):
            end = self._perform(self._by_somebody(act), self._rng.randrange(moments))
            if end.refusal not in {"", "killed"}:
                yield f"{act.name} was refused: {end.refusal} {end.text}"
        end = self._perform(self._by_somebody(act))
        if not end.done:
            yield f"{act.name} was refused: {end.refusal} {end.text}"

    def _by_somebody(self, act: Act) -> Act:
        """Airflow and the guard both take back: who comes next need not be who was killed."""
        another = not act.forward and self._rng.random() < 0.4
        return take_back(act.name, ANOTHER) if another else act

    def _perform(self, act: Act, fatal: int | None = None) -> End:
        end = perform(self._home, act, fatal)
        self.kills += end.refusal == "killed"
        return end

    def _wrongs(self) -> Iterator[str]:
        yield from wrongs(open_scene(self._home), DiskFleet(self._home).variants())

    def _look(self) -> View:
        return look(open_scene(self._home), DiskFleet(self._home).variants())
