"""The attacks, by the names that `python -m tests.chaos` takes."""

from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.audit_mutations import MUTATIONS, mutate
from tests.chaos.boundaries.part import attack_boundaries
from tests.chaos.breaches.part import attack_breaches
from tests.chaos.cycles.part import attack_cycles
from tests.chaos.feeds.part import attack_feeds
from tests.chaos.nemesis.part import attack_nemesis
from tests.chaos.nemesis.plan import DECK
from tests.chaos.part import Asked, Found, Part
from tests.judge import forged, same_feed

# among so many mutations every kind comes up
MANY_MUTATIONS = 300


def attack_judge(asked: Asked) -> Found:
    """Forged answers of Prometheus; none may promote, and honest ones must."""
    found = forged.forged(asked.count, asked.seed)
    names = ("forged_answers", "forged_by_kind", "forged_promotes", "honest_promotes")
    return Found({name: found[name] for name in names}, forged.complaints(found))


def attack_same_feed(asked: Asked) -> Found:
    """The same feed on both sides; at most one in a thousand may roll back, a worse one must."""
    found = same_feed.same_feed(asked.count, asked.seed)
    names = ("aa_runs", "aa_false_rollbacks", "aa_decisions", "aa_worse_runs", "aa_worse_rollbacks")
    return Found({name: found[name] for name in names}, same_feed.complaints(found))


def attack_audit(asked: Asked) -> Found:
    """Mutations of a signed and anchored journal; every one must be found."""
    with TemporaryDirectory(prefix="audit-") as home:
        outcome = mutate(Path(home), asked.count, asked.seed)
    fields = {"audit_mutations": outcome.tried, "audit_mutations_missed": len(outcome.missed)}
    wrong = [f"a mutation was missed: {which}" for which in outcome.missed]
    # of few mutations none may be left: what came out as it was is not counted
    if not outcome.tried:
        wrong.append("the journal was not touched")
    if asked.count >= MANY_MUTATIONS:
        never = [name for name in MUTATIONS if not outcome.by_kind.get(name)]
        wrong += [f"no mutation of the kind {name} was tried" for name in never]
    return Found(fields, wrong)


PARTS: Mapping[str, Part] = {
    "feeds": Part(attack_feeds, 100, "trials of feeds under faults and kill -9"),
    "cycles": Part(attack_cycles, 200, "migrations of a fleet, cut over, attacked and taken back"),
    "breaches": Part(attack_breaches, 50, "breaches with Airflow alive, and as many with it dead"),
    "boundaries": Part(
        attack_boundaries, 100, "kills at each boundary of the journal and the fleet"
    ),
    "nemesis": Part(attack_nemesis, len(DECK), "migrations by Airflow while every part is struck"),
    "forged": Part(attack_judge, 10_000, "forged answers to gates"),
    "aa": Part(attack_same_feed, 1000, "gates that compare a feed with itself"),
    "audit": Part(attack_audit, 10_000, "mutations of the journal"),
}
