"""What is told of a rollback: out of the journal, or by who does it and cannot read any. Pure."""

from collections.abc import Mapping

from feed_migration.addresses import Addresses
from feed_migration.events import body_names, body_number
from feed_migration.notices.notice import Kind, Notice
from feed_migration.notices.overtaken import UNPROVEN_TITLE, UNTIL_VERIFIED
from feed_migration.words import gone_words, since_words


def rollback_notice(
    addresses: Addresses, migration_id: str, *, number: int, reason: str, actor: str, at: float
) -> Notice:
    """Return the notice that the `number`th rollback of a migration has begun."""
    return Notice(
        migration_id=migration_id,
        key=f"rollback {number}",
        kind=Kind.ROLLBACK,
        at=at,
        title="ROLLBACK",
        reason=reason,
        facts=(f"Every instance goes back to ccxt, begun by {actor}.", UNTIL_VERIFIED),
        links=tuple(addresses.pages()),
    )


def unproven_notice(
    addresses: Addresses, migration_id: str, *, facts: Mapping[str, object], at: float
) -> Notice:
    """Return the notice of an instance that a rollback cannot prove; `facts` is the audit note."""
    return Notice(
        migration_id=migration_id,
        key=f"unproven {facts.get('id')}",
        kind=Kind.ROLLBACK,
        at=at,
        title=UNPROVEN_TITLE,
        reason=str(facts.get("why") or "an exposed instance"),
        facts=(f"To do: {facts.get('remedy')}.", "It may run native until then."),
        links=tuple(addresses.pages()),
    )


def back_notice(
    addresses: Addresses,
    migration_id: str,
    *,
    number: int,
    facts: Mapping[str, object],
    at: float,
    breached: bool,
) -> Notice:
    """Return the notice that it is verified; `facts` is the body of `rollback_verified`.

    `breached` says that a verdict was behind it; else the seconds count from when it began.
    """
    instances = facts.get("instances")
    count = len(instances) if isinstance(instances, Mapping) else 0
    gone = gone_words(body_names(facts, "gone"))
    took = body_number(facts, "breach_to_rollback_seconds")
    after = f", {since_words(took, breached=breached)}" if took is not None else ""
    return Notice(
        migration_id=migration_id,
        key=f"rolled back {number}",
        kind=Kind.ROLLED_BACK,
        at=at,
        title="BACK ON CCXT",
        reason=f"ccxt data flows on all {count} instances{after}",
        facts=(
            *([f"{gone}: nothing starts what had been exposed."] if gone else []),
            "Nothing else is urgent. The incident is on the migration's page.",
        ),
        links=tuple(addresses.pages()),
    )
