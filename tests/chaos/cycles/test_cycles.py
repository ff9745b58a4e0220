"""A slice of `make chaos PART=cycles`."""

import pytest

from tests.chaos.cycles.plan import ON_ANY, make_cycle
from tests.chaos.cycles.run import run_cycles
from tests.chaos.cycles.stage import SIZE

CYCLES = 20


@pytest.mark.timeout(600)
def test_no_trade_is_lost_or_repeated_across_migrations_under_attack(tmp_path):
    """Real feeds, supervisord and venue; the journal is right at every turn and verifies."""
    outcome = run_cycles(range(1, CYCLES + 1), tmp_path, report=print)
    fields = outcome.fields()
    print(fields)  # noqa: T201 - shown with -s, and by a failure
    assert outcome.right, (outcome.error, [str(finding) for finding in outcome.findings.first])
    assert fields["cycles"] == CYCLES
    assert fields["trades_compared"] > 50 * CYCLES
    assert fields["trades_native"] > 0
    done = fields["cycles_done"]
    assert done["rollbacks"] == CYCLES
    assert done["drivers_killed"] + done["feeds_killed"] + done["supervisord_killed"] >= 3


def test_a_cycle_is_its_seed_and_all_strikes_come_up():
    """The same seed, the same cycle; in a hundred there is every strike, on the way back, too."""
    assert make_cycle(7, SIZE) == make_cycle(7, SIZE) != make_cycle(8, SIZE)
    cycles = [make_cycle(seed, SIZE) for seed in range(100)]
    back = {strike.what for cycle in cycles for strike in (*cycle.back, *cycle.before)}
    forward = {strike.what for cycle in cycles for acts in cycle.forward for strike in acts}
    assert back == forward == set(ON_ANY)
    assert {cycle.promoted for cycle in cycles} == {True, False}
    assert any(cycle.zombie for cycle in cycles)
