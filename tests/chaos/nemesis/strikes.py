"""Carries the strikes of a trial out as their moments come, and makes good again what must be."""

import signal
import sqlite3
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

import psutil

from tests.chaos.nemesis.plan import Anchor, Strike, Trial
from tests.chaos.nemesis.stage import Stage
from tools.demo.faults import NATIVE_CLIENTS

type Mend = Callable[[], object]
"""Makes good again what was struck; False: not yet, ask again."""
# What was killed is gone by then, and what was stopped stands still
MET_SECONDS = 5.0
POLL_SECONDS = 0.02
# A venue that is itself stopped takes no fault; later than this no gate may be left to see one
LATEST_SECONDS = 20.0
_ON_VENUE = ("native:", "both:")
SECOND_RUN_DAG = "backpack_migration"


@dataclass
class Driven:
    """The DAG run that drives the migration now."""

    dag_id: str
    run_id: str


class Nemesis:
    """Strikes, and counts by kind in `struck` what met somebody, the first time in `struck_at`.

    `at` has the monotonic time of each anchor that has come. `breached_at` is the unix time of a
    venue broken for native clients for good. `second_runs` are DAG runs that must be refused.
    """

    def __init__(self, stage: Stage, trial: Trial) -> None:
        self.struck: Counter[str] = Counter()
        self.struck_at: dict[str, float] = {}
        self.at: dict[Anchor, float] = {}
        self.breached_at: float | None = None
        self.second_runs: list[str] = []
        self.diary: list[str] = []
        self._stage = stage
        self._waiting = list(trial.strikes)
        self._mending: list[tuple[float | None, Mend]] = []
        self._over = False

    def turn(self, driven: Driven) -> None:
        """Strike what is due, mend what has lasted."""
        now = time.monotonic()
        for strike in [*self._waiting]:
            began = self.at.get(strike.anchor)
            if began is not None and now >= began + strike.after_seconds:
                struck = self._strike(strike, driven, now)
                lands_late = strike.kind.startswith(_ON_VENUE) and now < began + LATEST_SECONDS
                if struck or not lands_late:
                    self._waiting.remove(strike)
        for entry in [*self._mending]:
            due, mend = entry
            if due is not None and due <= now and mend() is not False:
                self._mending.remove(entry)

    def end(self) -> None:
        """Mend everything, and strike no more."""
        self._waiting, self._over = [], True
        while self._mending:
            self._mending.pop()[1]()

    def _strike(self, strike: Strike, driven: Driven, now: float) -> bool:
        group, _, what = strike.kind.partition(":")
        acts = {
            "kill": self._kill,
            "stop": self._stop,
            "native": self._break_venue,
            "both": self._break_venue,
            "answers": self._lie,
            "journal": self._lock_journal,
            "second_run": self._second_run,
            "marked": self._mark,
        }
        mend = acts[group](strike, what, driven)
        self.struck[strike.kind] += mend is not None
        self.diary.append(
            f"{time.time():.1f} {strike.kind} for {strike.seconds}{'' if mend else ' met nobody'}"
        )
        if mend is not None:
            self.struck_at.setdefault(strike.kind, time.time())
            due = None if strike.seconds is None else now + strike.seconds
            self._mending.append((due, mend))
        return mend is not None

    def _kill(self, strike: Strike, what: str, driven: Driven) -> Mend | None:
        """Kill -9 the process that supervisord started; those below it are left to themselves."""
        found = self._stage.processes(_program(what, strike))
        if not found:
            return None
        _send(found[:1], signal.SIGKILL)
        gone, _ = psutil.wait_procs(found[:1], MET_SECONDS)
        return _nothing if gone else None

    def _stop(self, strike: Strike, what: str, driven: Driven) -> Mend | None:
        found = self._stage.processes(_program(what, strike))
        if not found:
            return None
        _send(found, signal.SIGSTOP)
        if not _stand_still(found):
            _send(found, signal.SIGCONT)
            return None
        return lambda: _send(found, signal.SIGCONT)

    def _break_venue(self, strike: Strike, what: str, driven: Driven) -> Mend | None:
        order: dict[str, object] = {"fault": what}
        if strike.kind.startswith("native:"):
            order["user_agent"] = NATIVE_CLIENTS
        try:
            number = self._stage.stack.venue("POST", "/sandbox/faults", order).json()["id"]
            known = self._stage.stack.venue("GET", "/sandbox/faults").json()
        except OSError:
            # the venue itself was struck
            return None
        if not any(one["id"] == number and one["active"] for one in known):
            return None
        if strike.seconds is None:
            self.breached_at = time.time()
            return _nothing
        return lambda: self._end_fault(number)

    def _end_fault(self, number: int) -> None:
        # a venue that was killed meanwhile has forgotten its faults
        with suppress(OSError):
            self._stage.stack.venue("DELETE", f"/sandbox/faults/{number}")

    def _lie(self, strike: Strike, what: str, driven: Driven) -> Mend | None:
        proxy = self._stage.proxy
        proxy.mode, before = what, proxy.lied

        def honest() -> bool:
            unheard = proxy.lied == before
            if unheard and not self._over:
                # nobody has asked meanwhile, so it goes on
                return False
            proxy.mode = "honest"
            self.struck[strike.kind] -= unheard
            return True

        return honest

    def _lock_journal(self, strike: Strike, what: str, driven: Driven) -> Mend | None:
        held = sqlite3.connect(self._stage.home / "journal.db", timeout=5, isolation_level=None)
        try:
            held.execute("BEGIN IMMEDIATE" if strike.victim % 2 else "BEGIN EXCLUSIVE")
        except sqlite3.OperationalError:
            held.close()
            return None
        return held.close

    def _second_run(self, strike: Strike, what: str, driven: Driven) -> Mend | None:
        run_id = self._stage.trigger(SECOND_RUN_DAG, {"reason": "a second one at once"})
        if run_id is None:
            return None
        self.second_runs.append(run_id)
        return _nothing

    def _mark(self, strike: Strike, what: str, driven: Driven) -> Mend | None:
        """Mark the first gate or act that has not succeeded, whether it runs or is yet to come."""
        tasks = self._stage.tasks(driven.dag_id, driven.run_id)
        todo = sorted(
            (len(name), name)
            for name, state in tasks.items()
            if name.endswith(f".{what}") and state != "success"
        )
        for _, name in todo[:1]:
            if self._stage.mark_task(driven.dag_id, driven.run_id, name):
                self.diary.append(f"marked {name}, which was {tasks[name] or 'to come'}")
                return _nothing
        return None


def _program(what: str, strike: Strike) -> str:
    return f"feed-{strike.victim:02}" if what == "feed" else what


def _send(processes: list[psutil.Process], number: signal.Signals) -> None:
    for process in processes:
        with suppress(psutil.Error):
            process.send_signal(number)


def _stand_still(processes: list[psutil.Process]) -> bool:
    """Whether all that are left do; a signal reaches a busy one a moment later."""
    deadline = time.monotonic() + MET_SECONDS
    while time.monotonic() < deadline:
        states = [state for each in processes if (state := _state(each))]
        if states and set(states) == {psutil.STATUS_STOPPED}:
            return True
        time.sleep(POLL_SECONDS)
    return False


def _state(process: psutil.Process) -> str:
    """As the kernel says, "" of one that is gone."""
    with suppress(psutil.NoSuchProcess):
        return "" if process.status() == psutil.STATUS_ZOMBIE else process.status()
    return ""


def _nothing() -> None:
    """What was struck comes back by itself."""
