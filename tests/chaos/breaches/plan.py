"""The plan of the breaches, and what each breach is. Pure: the seed decides everything."""

from dataclasses import dataclass
from random import Random

FLEET = 20
SHARES = (10, 50, 100)
# each makes a counter leave zero that must stay there; how fast gaps come depends on the market
FAULTS = ("auth_failure", "disconnect", "schema_drift")
# Airflow is stopped as by a frozen host; each so many breaches it is killed outright
KILLED_EVERY = 5

COUNTERS = ("ws_errors", "auth_failures", "dropped_messages", "trades_lost", "decode_errors")
_HARD = """  expect_series: fleet
  severity: hard
  confirm_interval: 1s"""


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One breach while `percent` of the fleet is on native, `after_seconds` of a healthy gate.

    `airflow` is alive, stopped (SIGSTOP, goes on afterwards) or killed (SIGKILL).
    """

    seed: int
    percent: int
    fault: str
    airflow: str
    after_seconds: float


def make_trials(seed: int, count: int) -> list[Trial]:
    """`count` breaches with Airflow alive and as many with it dead, by share of the fleet."""
    rng = Random(f"breaches:{seed}")
    trials = [
        Trial(
            seed=seed + number,
            percent=SHARES[number % len(SHARES)],
            fault=rng.choice(FAULTS),
            airflow=airflow,
            after_seconds=rng.uniform(0.0, 2.0),
        )
        for number in range(count)
        for airflow in ("alive", _dead(number))
    ]
    return sorted(trials, key=lambda trial: trial.percent)


def _dead(number: int) -> str:
    return "killed" if number % KILLED_EVERY == KILLED_EVERY - 1 else "stopped"


def plan_text(percent: int) -> str:
    """A plan whose first step exposes `percent`, and whose gates never promote by themselves.

    Asked every 2 s over windows of 5 s, scraped every second: as quick as a plan may be.
    """
    shares = sorted({percent, 100})
    steps = "\n".join(f"    - {{percent: {share}, gate: *gate}}" for share in shares)
    counters = "\n".join(_counter(name) for name in COUNTERS)
    return f"""
name: breaches-{percent}
defaults:
  interval: 2s
  evaluation_delay: 1s
  min_duration: 10m
  max_duration: 1h
  blind_limit: 1m
criteria:
{counters}
- name: sequence_gaps
  query: max by (instance_id) (increase({_series("sequence_gaps_total")}[5s]))
  success: {{max: 2.5}}
  failure: {{min: 3.5}}
{_HARD}
phases:
  preflight: {{}}
  dry_run: {{}}
  shadow: {{gate: &gate {{criteria: [sequence_gaps, {", ".join(COUNTERS)}]}}}}
  cutover:
    steps:
{steps}
  stabilisation: {{gate: *gate}}
  post_migration: {{}}
"""


def _counter(name: str) -> str:
    return f"""- name: {name}
  query: max by (instance_id) (max_over_time({_series(f"{name}_total")}[5s]))
  success: {{max: 0}}
  failure: {{min: 1}}
{_HARD}"""


def _series(name: str) -> str:
    return f'backpack_feed_{name}{{role="handler",variant="native"}}'
