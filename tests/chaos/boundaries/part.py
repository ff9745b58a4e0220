"""The boundaries as a part of `make chaos`."""

import logging

from tests.chaos.boundaries.run import run_boundaries
from tests.chaos.part import Asked, Found, tell
from tests.judge import restarts


def attack_boundaries(asked: Asked) -> Found:
    """A kill at each boundary for each seed, and gates killed at every tick of a longer run."""
    # what actors say of their troubles belongs to the troubles
    logging.disable(logging.CRITICAL)
    outcome = run_boundaries(asked.seeds, asked.jobs, report=tell, only=asked.only)
    fields = {
        "boundaries": len(outcome.boundaries),
        "boundary_kills": outcome.kills,
        "kills_at_each_boundary": asked.count,
        "illegal_end_states": len(outcome.illegal),
    }
    wrong = [f"{one.place}, seed {one.seed}:{one.wrong[0]}" for one in outcome.illegal]
    if not outcome.kills:
        wrong.append("nobody was killed, so there is no illegal end either")
    if asked.only:
        return Found({}, wrong)
    if not any(one.kills for one in outcome.walks):
        wrong.append("nobody was killed on a real supervisord")
    gates = restarts.restarts(max(1, asked.count // 5), asked.seed)
    fields["gate_kills"] = gates["kills"]
    fields["gate_verdicts_changed"] = gates["kill_other_verdicts"]
    return Found(fields, [*wrong, *restarts.complaints(gates)])
