"""Every boundary, so many times each, over several processes."""

import gc
import json
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from tests.chaos.actor import Actor
from tests.chaos.boundaries.course import Station, record
from tests.chaos.boundaries.supervised import walk_supervised
from tests.chaos.boundaries.trial import Ended, Trial, attempt

JOB_SECONDS = 24 * 3600.0


@dataclass
class Outcome:
    """The boundaries that there are, and the kills at them."""

    boundaries: list[str] = field(default_factory=list)
    ended: list[Ended] = field(default_factory=list)
    walks: list[Ended] = field(default_factory=list)

    @property
    def kills(self) -> int:
        """Processes that were killed, also while they recovered."""
        return sum(one.kills for one in (*self.ended, *self.walks))

    @property
    def illegal(self) -> list[Ended]:
        """Kills that ended in a state which may not be."""
        return [one for one in (*self.ended, *self.walks) if one.wrong]


def run_boundaries(
    seeds: Sequence[int],
    jobs: int,
    report: Callable[[object], None],
    only: str = "",
    every: int = 1,
) -> Outcome:
    """Kill at every boundary once per seed, then on supervisord.

    `only` is one place or act; `every` 3 takes each third of what is left.
    """
    outcome = Outcome()
    # a killed process loses nothing of what it wrote to memory, and nobody waits for a disk there
    memory = Path("/dev/shm")
    where = memory if memory.is_dir() else None
    with tempfile.TemporaryDirectory(prefix="boundaries-", dir=where) as directory:
        folder = Path(directory)
        stations = record(folder / "course")
        outcome.boundaries = [place for station in stations for place in station.places()]
        trials = [one for one in _trials(stations, seeds) if _wanted(one, only)][::every]
        workers = [
            Actor(_share(trials[job::jobs], folder / f"job-{job}", report), folder / "jobs.log")
            for job in range(jobs)
        ]
        for worker in workers:
            end = worker.end(JOB_SECONDS)
            if not end.done:
                raise RuntimeError(end.text or end.refusal)
        for job in range(jobs):
            outcome.ended += _read(folder / f"job-{job}")
        if not only:
            outcome.walks = walk_supervised(stations, seeds, report)
    return outcome


def _wanted(trial: Trial, only: str) -> bool:
    return not only or only in {trial.place, trial.station.act.name}


def _trials(stations: Sequence[Station], seeds: Sequence[int]) -> list[Trial]:
    return [
        Trial(station, number, seed)
        for seed in seeds
        for station in stations
        for number in range(len(station.moments))
    ]


def _share(
    trials: Sequence[Trial], folder: Path, report: Callable[[object], None]
) -> Callable[[], None]:
    def work() -> None:
        folder.mkdir()
        # forks share the pages of what is imported, as long as nobody's collector writes to them
        gc.freeze()
        with (folder / "ended.jsonl").open("w") as stream:
            for trial in trials:
                ended = attempt(trial, folder)
                if ended.wrong:
                    report(ended)
                stream.write(json.dumps(asdict(ended)) + "\n")

    return work


def _read(folder: Path) -> list[Ended]:
    lines = (folder / "ended.jsonl").read_text().splitlines()
    return [
        Ended(**{**json.loads(line), "wrong": tuple(json.loads(line)["wrong"])}) for line in lines
    ]
