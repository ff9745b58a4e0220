"""What each end has to bear out: zeros prove nothing of a product that never does anything."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence

from feed_migration.events import Event, body_names
from feed_migration.model import Decision
from feed_migration.phases import Status
from tests.chaos.nemesis.plan import FLEET, HARMLESS, STEPS

# Who can say neither yes nor no holds; that is no reason to go back
DOUBT = "answers:doubtful"


def unexcused_end(
    events: Sequence[Event], status: Status, struck: Mapping[str, float]
) -> list[str]:
    """An end that nothing which was struck makes legal.

    `struck` is kind → when it first met somebody, in unix seconds; what came after a hold or a way
    back had begun is no reason for it.
    """
    if status is Status.PROMOTED:
        # without an end, so that the gates after it see nothing else
        return ["promoted on answers that prove nothing"] * (DOUBT in struck)
    ended = {"held", "rollback_started"}
    began = next((event.at for event in events if event.kind in ended), 0.0)
    before = {kind for kind, at in struck.items() if at <= began}
    reasons = before - HARMLESS - ({DOUBT} if status is Status.ROLLED_BACK else set())
    if reasons:
        return []
    return [f"{status}, and nothing that was struck before is a reason: {sorted(before)}"]


def hollow_promotion(events: Sequence[Event], native_trades: int) -> list[str]:
    """What a promoted migration has not been through; `native_trades` were taped during it.

    By the plan's own steps: a journal that knows of none has promoted all of them.
    """
    promoted = {event.body.get("step") for event in events if event.kind == "step_promoted"}
    proven = {
        event.body.get("step")
        for event in events
        if event.kind == "verdict" and event.body.get("decision") == Decision.PROMOTE
    }
    moved = {name for event in _confirmed_native(events) for name in body_names(event.body)}
    wrong = [f"{step} has no Promote of its gate" for step in STEPS if step not in proven]
    wrong += [f"{step} was never promoted" for step in STEPS if step not in promoted]
    if len(moved) != FLEET:
        wrong.append(f"{len(moved)} of {FLEET} instances were confirmed on native")
    if not native_trades:
        wrong.append("no trade came from a native feed")
    return [f"promoted, but {what}" for what in wrong]


def unseen_exposure(events: Sequence[Event], seen: Collection[str]) -> list[str]:
    """A journal that confirms native instances, where nobody was `seen` to be one."""
    if seen or not _confirmed_native(events):
        return []
    return ["the journal confirms native instances, and no instance ever said so"]


def deck_faults(
    ends: Sequence[str], dealt: Collection[str], struck: Counter[str], *, whole: bool
) -> list[str]:
    """What is wrong with all trials together; of a part of the deck only that there were none.

    A product that always goes back, or always holds, or that nothing ever meets, shows nothing.
    """
    if not ends:
        return ["there was no trial"]
    if not whole:
        return []
    wrong = [
        f"of {len(ends)} trials none was {end}"
        for end in (Status.PROMOTED, Status.ROLLED_BACK)
        if end not in ends
    ]
    missed = sorted(set(dealt) - set(+struck))
    return wrong + [f"{kind} met nobody in any trial" for kind in missed]


def _confirmed_native(events: Sequence[Event]) -> list[Event]:
    return [
        event
        for event in events
        if event.kind == "act_confirmed" and event.body.get("variant") == "native"
    ]
