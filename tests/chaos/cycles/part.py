"""The cycles as a part of `make chaos`."""

import logging

from tests.chaos.cycles.run import run_cycles
from tests.chaos.part import Asked, Found, tell


def attack_cycles(asked: Asked) -> Found:
    """One cycle per seed, all on one fleet."""
    # what actors say of their troubles belongs to the troubles
    logging.disable(logging.CRITICAL)
    outcome = run_cycles(asked.seeds, asked.folder, report=tell)
    if outcome.error:
        tell(outcome.error)
    for finding in outcome.findings.first[:10]:
        tell(finding)
    return Found(outcome.fields(), outcome.wrong)
