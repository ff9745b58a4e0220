"""The No that a question to a person got: of whom, or of nobody, and in which words. Pure."""

from dataclasses import dataclass

from feed_migration.events import Event

REJECT = "Reject"
# nobody answered in time; nobody is its actor, too
UNANSWERED = "Unanswered"
NOBODY = "nobody"


@dataclass(frozen=True, kw_only=True)
class Denial:
    """`step` may not begin: a person said so, or nobody said anything in time."""

    step: str
    decision: str
    actor: str
    reason: str = ""

    @property
    def person(self) -> str:
        """Who said No, "" where nobody said anything."""
        return self.actor if self.decision == REJECT else ""

    @property
    def text(self) -> str:
        """Return it in one line, as the reason of a way back."""
        said = f"rejected by {self.actor}" if self.person else "no answer in time"
        if self.reason:
            said = f"{said}: {self.reason}" if self.person else self.reason
        return f"{self.step} was not approved: {said}"


def denial_of(event: Event) -> Denial | None:
    """Return the No that an `approval` event is, None where it is none."""
    step, decision = str(event.body.get("step", "")), str(event.body.get("decision", ""))
    if decision not in {REJECT, UNANSWERED}:
        return None
    reason = " ".join(str(event.body.get("reason") or "").split())
    return Denial(step=step, decision=decision, actor=event.actor, reason=reason)


def silence(seconds: float) -> str:
    """Return the reason of a No by silence after `seconds`."""
    minutes, rest = divmod(round(seconds), 60)
    return (
        f"no answer within {seconds:g} s"
        if rest or not minutes
        else f"no answer within {minutes} min"
    )
