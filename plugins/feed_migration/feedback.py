"""What consumers of the feed say after the migration. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from feed_migration.events import Event, EventKind
from feed_migration.markdown import table

FEEDBACK = "feedback"
MAX_REMARK = 2000


@dataclass(frozen=True, kw_only=True)
class Feedback:
    """One consumer's word; `healthy` is None where nobody answered, `by` the person."""

    consumer: str
    healthy: bool | None
    remark: str = ""
    by: str = ""

    def to_body(self) -> dict[str, Any]:
        """The body of its audit note."""
        return {
            "note": FEEDBACK,
            "consumer": self.consumer,
            "healthy": self.healthy,
            "remark": self.remark[:MAX_REMARK],
        }

    @property
    def verdict(self) -> str:
        """In words."""
        if self.healthy is None:
            return "no answer"
        return "healthy" if self.healthy else "NOT healthy"


def feedback_of(events: Iterable[Event]) -> tuple[Feedback, ...]:
    """Return the latest word of each consumer, in the order in which they were first heard."""
    said: dict[str, Feedback] = {}
    for event in events:
        if event.kind == EventKind.AUDIT_NOTE and event.body.get("note") == FEEDBACK:
            word = _read(event.body, event.actor)
            said[word.consumer] = word
    return tuple(said.values())


def summary(said: Iterable[Feedback]) -> str:
    """Return all words in one line, the bad ones first; "" where nobody was asked."""
    words = sorted(said, key=lambda one: {False: 0, None: 1, True: 2}[one.healthy])
    texts = [
        f"{one.consumer}: {one.verdict}" + (f" ({one.remark})" if one.remark else "")
        for one in words
    ]
    return "; ".join(texts)


def feedback_section(said: Iterable[Feedback]) -> str:
    """Return the words as a section of the report."""
    words = sorted(said, key=lambda one: one.healthy is not False)
    if not words:
        return "## Feedback of consumers\n\nNo consumers are named in deployment.yaml."
    rows = [(one.consumer, one.verdict, one.remark, one.by) for one in words]
    return f"## Feedback of consumers\n\n{table(('consumer', 'says', 'remark', 'who'), rows)}"


def _read(body: Mapping[str, Any], actor: str) -> Feedback:
    healthy = body.get("healthy")
    return Feedback(
        consumer=str(body.get("consumer", "")),
        healthy=healthy if isinstance(healthy, bool) else None,
        remark=str(body.get("remark", "")),
        by="" if healthy is None else actor,
    )
