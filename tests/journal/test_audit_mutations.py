"""A small slice of `make bench-journal`: random mutations of the audit, all of them found."""

from benchmarks.audit_mutations import MUTATIONS, mutate


def test_random_mutations_of_the_audit_are_all_found(tmp_path):
    """Flips, deletions, swaps, insertions, cuts, rewrites and forged heads, from one seed."""
    outcome = mutate(tmp_path, 300, seed=20261124)
    assert outcome.missed == []
    assert set(outcome.by_kind) == set(MUTATIONS)
    assert outcome.tried > 250
