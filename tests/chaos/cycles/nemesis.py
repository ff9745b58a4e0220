"""Carries the strikes of an act out, while its drivers are at work."""

import signal
import time
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial

from tests.chaos.actor import Actor, End
from tests.chaos.cycles.driver import Act, drive
from tests.chaos.cycles.plan import VENUE_FAULTS, Strike
from tests.chaos.cycles.stage import Stage

ACT_SECONDS = 120.0
_POLL_SECONDS = 0.02


class Nemesis:
    """Strikes, makes good again what does not come back by itself, and counts in `done`."""

    def __init__(self, stage: Stage, done: Counter[str]) -> None:
        self._stage = stage
        self._done = done

    def attend(self, act: Act, strikes: Sequence[Strike]) -> list[End]:
        """Run `act` under `strikes`; returns how its drivers ended, everything mended."""
        began = time.monotonic()
        drivers = [drive(self._stage.home, act)]
        waiting = list(strikes)
        mending: list[tuple[float, Callable[[], object]]] = []
        while waiting or mending or any(driver.alive for driver in drivers):
            now = time.monotonic() - began
            if now > ACT_SECONDS:
                break
            while waiting and waiting[0].after_seconds <= now:
                strike = waiting.pop(0)
                if strike.what == "second_driver":
                    drivers.append(drive(self._stage.home, act))
                    self._done["drivers_at_once"] += 1
                elif (mend := self._strike(strike, drivers)) is not None:
                    mending.append((now + strike.seconds, mend))
            for due, mend in [*mending]:
                if due <= now:
                    mending.remove((due, mend))
                    mend()
            time.sleep(_POLL_SECONDS)
        return [driver.end(ACT_SECONDS) for driver in drivers]

    def _strike(self, strike: Strike, drivers: Sequence[Actor]) -> Callable[[], object] | None:
        """Strike; returns what ends it, where it does not end by itself."""
        if strike.what == "kill_driver":
            self._done["drivers_killed"] += drivers[0].signal(signal.SIGKILL)
        elif strike.what == "kill_feeds":
            self._done["feeds_killed"] += sum(map(self._stage.kill_feed, strike.victims))
        elif strike.what == "stop_feed":
            return self._stop_feed(strike.victims[0])
        elif strike.what == "kill_supervisord":
            self._done["supervisord_killed"] += 1
            self._stage.kill_supervisord()
            return self._stage.start_supervisord
        elif strike.what in VENUE_FAULTS:
            self._done["venue_faults"] += 1
            order = {"fault": strike.what, "duration_seconds": 2 * strike.seconds}
            self._stage.venue.ask("POST", "/faults", order)
        return None

    def _stop_feed(self, place: int) -> Callable[[], object] | None:
        pid = self._stage.signal_feed(place, signal.SIGSTOP)
        if pid is None:
            return None
        self._done["feeds_stopped"] += 1
        # whoever runs there by then: a stopped one that was killed needs no waking
        return partial(self._stage.signal_feed, place, signal.SIGCONT)
