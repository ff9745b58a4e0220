"""The attacks, by the names that `python -m tests.chaos` takes."""

from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.audit_mutations import mutate
from tests.chaos.boundaries.part import attack_boundaries
from tests.chaos.breaches.part import attack_breaches
from tests.chaos.cycles.part import attack_cycles
from tests.chaos.feeds.part import attack_feeds
from tests.chaos.nemesis.part import attack_nemesis
from tests.chaos.part import Asked, Found, Part
from tests.judge.forged import forged
from tests.judge.same_feed import same_feed


def attack_judge(asked: Asked) -> Found:
    """Forged answers of Prometheus; none may promote."""
    found = forged(asked.count, asked.seed)
    fields = {name: found[name] for name in ("forged_answers", "forged_promotes")}
    return Found(fields, kept=found["forged_promotes"] == 0)


def attack_same_feed(asked: Asked) -> Found:
    """The same feed on both sides; at most one in a thousand gates may roll back."""
    found = same_feed(asked.count, asked.seed)
    fields = {name: found[name] for name in ("aa_runs", "aa_false_rollbacks")}
    return Found(fields, kept=found["aa_false_rollbacks"] * 1000 <= max(found["aa_runs"], 1000))


def attack_audit(asked: Asked) -> Found:
    """Mutations of a signed and anchored journal; every one must be found."""
    with TemporaryDirectory(prefix="audit-") as home:
        outcome = mutate(Path(home), asked.count, asked.seed)
    fields = {"audit_mutations": outcome.tried, "audit_mutations_missed": len(outcome.missed)}
    return Found(fields, kept=not outcome.missed)


PARTS: Mapping[str, Part] = {
    "feeds": Part(attack_feeds, 100, "trials of feeds under faults and kill -9"),
    "cycles": Part(attack_cycles, 200, "migrations of a fleet, cut over, attacked and taken back"),
    "breaches": Part(attack_breaches, 50, "breaches with Airflow alive, and as many with it dead"),
    "boundaries": Part(
        attack_boundaries, 100, "kills at each boundary of the journal and the fleet"
    ),
    "nemesis": Part(attack_nemesis, 12, "migrations by Airflow while every part is struck"),
    "forged": Part(attack_judge, 10_000, "forged answers to gates"),
    "aa": Part(attack_same_feed, 1000, "gates that compare a feed with itself"),
    "audit": Part(attack_audit, 10_000, "mutations of the journal"),
}
