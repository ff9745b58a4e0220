"""`status --watch`: a live view that goes on whatever of what it asks goes away.

Each part is asked in a thread of its own, so one that hangs stops neither the view nor ctrl-c.
"""

import json
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import typer
from rich.console import Console, ConsoleOptions, RenderResult
from rich.live import Live
from rich.text import Text

from feed_migration.airflow_api import AirflowApi
from feed_migration.cli.asked_start import BEHIND_SECONDS, AskedStart, require_hope
from feed_migration.cli.frame import Silence, Size, frame, line
from feed_migration.cli.look import JournalView, Plans, Story, ended_run
from feed_migration.cli.parts import open_journal
from feed_migration.cli.questions import pending_approvals
from feed_migration.cli.situation import Situation
from feed_migration.cli.standing import render_status, status_of
from feed_migration.dag_run import OVER, Driver, EndedRun
from feed_migration.deployment import Deployment
from feed_migration.errors import EnvironmentUnavailable, MigrationError
from feed_migration.fleet.base import InstanceStatus
from feed_migration.fleet.choice import open_fleet
from feed_migration.guard.answer import GuardAnswer, GuardState
from feed_migration.guard.asking import ask_guard
from feed_migration.markdown import utc
from feed_migration.phases import Status

JOURNAL_SECONDS, FLEET_SECONDS, GUARD_SECONDS, AIRFLOW_SECONDS = 1.0, 2.0, 2.0, 5.0
# A frame a second shows the clocks; more than four a second nobody reads
FRAME_SECONDS, LEAST_SECONDS = 1.0, 0.25
# What the first frame waits for parts that take their time
FIRST_SECONDS = 8.0
ENDED = {Status.PROMOTED: 0, Status.ROLLED_BACK: 1}
type Clock = Callable[[], float]


class Source[T](threading.Thread):
    """Asks one part again and again; keeps its last answer, and since when there is none."""

    def __init__(
        self,
        part: str,
        ask: Callable[[], T],
        *,
        pause_seconds: float,
        news: threading.Event,
        clock: Clock,
    ) -> None:
        super().__init__(name=f"ask {part}", daemon=True)
        self.part = part
        self._ask, self._pause_seconds, self._news, self._clock = ask, pause_seconds, news, clock
        self._stop_asked = threading.Event()
        self.answer: T | None = None
        self.asked = False
        self._silence: Silence | None = None

    def run(self) -> None:
        """Ask until `stop`."""
        while not self._stop_asked.is_set():
            self._ask_once(self._clock())
            self._stop_asked.wait(self._pause_seconds)

    def stop(self) -> None:
        """Ask no more; what is under way is not waited for."""
        self._stop_asked.set()

    @property
    def silence(self) -> Silence | None:
        """What is to be said of a part that does not answer."""
        return self._silence

    def _ask_once(self, now_unix: float) -> None:
        before = self.answer, self._silence
        try:
            self.answer, self._silence = self._ask(), None
        except Exception as error:  # noqa: BLE001 - whatever it is, the view goes on
            since = self._silence.since_unix if self._silence else now_unix
            problem = error.problem if isinstance(error, MigrationError) else repr(error)
            self._silence = Silence(part=self.part, since_unix=since, problem=problem)
        self.asked = True
        if before != (self.answer, self._silence):
            self._news.set()


class Sources:
    """The four parts that a situation is made of."""

    def __init__(self, deployment: Deployment, migration: str | None, clock: Clock) -> None:
        self.news = threading.Event()
        self._clock, self._plans = clock, Plans(deployment)
        self._deployment, self._migration = deployment, migration
        self._view: JournalView | None = None
        self._airflow: AirflowApi | None = None
        self._began = self._run_over_at = time.monotonic()
        self._run_state: tuple[Driver | None, str] = (None, "")
        # and since when Airflow says so, as the monotonic clock has it
        self._ended: tuple[EndedRun | None, float] = (None, 0.0)
        self.journal = self._source("the journal", self._ask_journal, JOURNAL_SECONDS)
        self.fleet = self._source("the fleet", self._ask_fleet, FLEET_SECONDS)
        self.guard = self._source("the guard", self._ask_guard, GUARD_SECONDS)
        self.airflow = self._source("Airflow", self._ask_airflow, AIRFLOW_SECONDS)
        self._all: tuple[Source[Any], ...] = (self.journal, self.fleet, self.guard, self.airflow)

    def _source[T](self, part: str, ask: Callable[[], T], pause_seconds: float) -> Source[T]:
        return Source(part, ask, pause_seconds=pause_seconds, news=self.news, clock=self._clock)

    @contextmanager
    def asked(self) -> Iterator[None]:
        """Ask in the block."""
        for source in self._all:
            source.start()
        try:
            yield
        finally:
            for source in self._all:
                source.stop()

    @property
    def ready(self) -> bool:
        """Whether the journal, the fleet and the guard have been asked once."""
        return self.journal.asked and self.fleet.asked and self.guard.asked

    @property
    def silences(self) -> list[Silence]:
        """The parts that do not answer."""
        return [source.silence for source in self._all if source.silence is not None]

    def situation(self) -> Situation:
        """Return what was last known of each part, as of now."""
        story = self.journal.answer or Story()
        known = Situation(
            now_unix=self._clock(),
            state=story.state,
            lease=story.lease,
            gate_start=story.gate_start,
            measurements=story.measurements,
            events=story.events,
            instances=self.fleet.answer or (),
            # a journal that was restored may lack what it noted of the question
            may_answer=story.may_answer or self.airflow.answer or (),
            ended_run=self._ended_run(story),
            guard=self._guard(),
        )
        return replace(known, gate=self._plans.gate(story.state))

    def _guard(self) -> GuardAnswer | None:
        silence = self.guard.silence
        if silence is None:
            return self.guard.answer
        return GuardAnswer(state=GuardState.SILENT, detail=silence.problem)

    def _ended_run(self, story: Story) -> EndedRun | None:
        ended, since = self._ended
        if ended is None or ended.run != story.driver or self.airflow.silence is not None:
            return None
        # before, the story may be older than what Airflow says
        return ended if time.monotonic() - since >= BEHIND_SECONDS else None

    def ended(self) -> int | None:
        """Return the exit code of a migration that is over, None while it, or a start, goes on.

        Raises Refused where a start that was asked for since will begin none.
        """
        story = self.journal.answer
        if story is None or self.journal.silence:
            return None
        if story.start is not None:
            self._require_hope(story.start)
            return None
        return ENDED.get(story.state.status)

    def _require_hope(self, start: AskedStart) -> None:
        now, (run, state) = time.monotonic(), self._run_state
        if run != start.run or state not in OVER:
            self._run_over_at = now
        require_hope(
            start,
            waited_seconds=now - self._began,
            run_state=state if run == start.run else "",
            over_seconds=now - self._run_over_at,
        )

    def _ask_journal(self) -> Story:
        if self._view is None:
            self._view = JournalView(open_journal(self._deployment, 5.0), self._migration)
        return self._view.read()

    def _ask_fleet(self) -> tuple[InstanceStatus, ...]:
        return open_fleet(self._deployment).instances()

    def _ask_guard(self) -> GuardAnswer:
        answer = ask_guard(self._deployment.guard_url)
        if answer.state is GuardState.SILENT:
            raise EnvironmentUnavailable(answer.detail)
        return answer

    def _ask_airflow(self) -> tuple[str, ...]:
        """Return who may answer the approval that waits; look at what runs as well."""
        try:
            self._airflow = self._airflow or AirflowApi(
                self._deployment.airflow, timeout_seconds=AIRFLOW_SECONDS
            )
            self._ask_run(self._airflow)
            waiting = pending_approvals(self._airflow, self._deployment)
            names = [name for task in waiting for name in task["may_answer"]]
        except MigrationError:
            # its token is from before a restart, or the password has changed
            self._airflow = None
            raise
        return tuple(dict.fromkeys(names))

    def _ask_run(self, airflow: AirflowApi) -> None:
        story = self.journal.answer or Story()
        if (ended := ended_run(airflow, story.driver)) != self._ended[0]:
            self._ended = (ended, time.monotonic())
        if (start := story.start) is not None:
            state = airflow.run_state(start.run.dag_id, start.run.run_id)
            self._run_state = (start.run, state)


class _Frame:
    """A frame in the size that the terminal has when it is drawn."""

    def __init__(self, situation: Situation, silences: list[Silence]) -> None:
        self._situation, self._silences = situation, silences

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        size = Size(width=options.max_width, height=options.height or console.height)
        yield from frame(self._situation, self._silences, size)


def watch(
    deployment: Deployment,
    migration: str | None,
    *,
    until_done: bool,
    as_json: bool,
    clock: Clock = time.time,  # noqa: TID251 - the edge of the process
) -> int:
    """Show the migration until ctrl-c, or with `until_done` until it ends; return the exit code."""
    console, sources = Console(highlight=False), Sources(deployment, migration, clock)
    signal.signal(signal.SIGTERM, _terminated)
    screen = console.is_terminal and not console.is_dumb_terminal and not as_json
    code = 0
    try:
        with sources.asked():
            code = (
                _on_screen(console, sources, until_done=until_done)
                if screen
                else _in_lines(sources, until_done=until_done, as_json=as_json)
            )
    except KeyboardInterrupt:
        code = 0
    if screen:
        typer.echo(render_status(status_of(sources.situation())))
    return code


def _on_screen(console: Console, sources: Sources, *, until_done: bool) -> int:
    with Live(
        Text("asking the journal and the fleet …", style="dim"),
        console=console,
        screen=True,
        auto_refresh=False,
    ) as live:
        for situation in _situations(sources):
            live.update(_Frame(situation, sources.silences), refresh=True)
            if until_done and (code := sources.ended()) is not None:
                return code
    return 0


def _in_lines(sources: Sources, *, until_done: bool, as_json: bool) -> int:
    """Print a line for each change: for logs, and for pipes."""
    last = ""
    for situation in _situations(sources):
        silences = sources.silences
        said = line(situation, silences)
        if said != last:
            last = said
            _print(situation, silences, said, as_json=as_json)
        if until_done and (code := sources.ended()) is not None:
            return code
    return 0


def _print(situation: Situation, silences: list[Silence], said: str, *, as_json: bool) -> None:
    if as_json:
        silent = [{"part": one.part, "problem": one.problem} for one in silences]
        typer.echo(json.dumps({**status_of(situation), "silent": silent}))
    else:
        typer.echo(f"{utc(situation.now_unix)} {said}")
    sys.stdout.flush()


def _situations(sources: Sources) -> Iterator[Situation]:
    """Yield a situation at every change, and every second for the clocks."""
    patience = time.monotonic() + FIRST_SECONDS
    while not sources.ready and time.monotonic() < patience:
        sources.news.wait(LEAST_SECONDS)
        sources.news.clear()
    while True:
        yield sources.situation()
        time.sleep(LEAST_SECONDS)
        sources.news.wait(FRAME_SECONDS - LEAST_SECONDS)
        sources.news.clear()


def _terminated(_number: int, _frame: object) -> None:
    # through the blocks that give the terminal back
    sys.exit(128 + signal.SIGTERM)
