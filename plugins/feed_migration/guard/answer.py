"""How a guard is, as those see it who ask for its /healthz. Pure."""

from dataclasses import dataclass
from enum import StrEnum

import msgspec

from feed_migration.words import listed

# As many instances are named; a fleet may have a thousand
NAMED = 5
_MEANWHILE = "or roll back what is exposed"


class GuardState(StrEnum):
    """HANGS: it answers, and its rounds do not end. UNKNOWN: nobody says where it is."""

    ANSWERS = "answers"
    WATCHING = "watching"
    REVERTING = "reverting"
    HANGS = "hangs"
    SILENT = "silent"
    UNKNOWN = "unknown"


_WORDS = {
    GuardState.ANSWERS: "answers",
    GuardState.WATCHING: "watches what is exposed, because nobody else does",
    GuardState.REVERTING: "takes the fleet back to ccxt",
    GuardState.HANGS: "ends no round",
    GuardState.SILENT: "does not answer",
    GuardState.UNKNOWN: "not asked",
}


@dataclass(frozen=True, kw_only=True)
class GuardAnswer:
    """How the guard is; `detail` is what more there is to it, or what to do.

    Nothing in it changes by time alone.
    """

    state: GuardState
    detail: str = ""

    @property
    def text(self) -> str:
        """The answer in one line."""
        words = _WORDS[self.state]
        return f"{words}: {self.detail}" if self.detail else words


class Healthz(msgspec.Struct, frozen=True):
    """What /healthz says, as far as it matters here; a guard of another version may say more."""

    alive: bool
    watching: bool
    reverting: bool
    journal_silent_seconds: float
    unproven: tuple[str, ...] = ()


NOT_NAMED = GuardAnswer(state=GuardState.UNKNOWN, detail="deployment.yaml names no guard_url")


def answer_of(said: Healthz) -> GuardAnswer:
    """Return what a guard that answers is at."""
    if not said.alive:
        return GuardAnswer(state=GuardState.HANGS, detail=f"restart it, {_MEANWHILE}")
    if said.reverting:
        names = said.unproven
        are = "is" if len(names) == 1 else "are"
        detail = f"{listed(names, NAMED)} {are} not proven on it yet" if names else ""
        return GuardAnswer(state=GuardState.REVERTING, detail=detail)
    detail = "the journal does not answer it" if said.journal_silent_seconds > 0 else ""
    state = GuardState.WATCHING if said.watching else GuardState.ANSWERS
    return GuardAnswer(state=state, detail=detail)


def silent(url: str, why: str) -> GuardAnswer:
    """Return what to make of a guard that does not answer."""
    return GuardAnswer(state=GuardState.SILENT, detail=f"start it, {_MEANWHILE} ({url}: {why})")
