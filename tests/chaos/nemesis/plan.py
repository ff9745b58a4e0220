"""What strikes the migration of one seed, and when. Pure: the seed decides everything."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any, Literal

import yaml

FLEET = 4
# Of the plan below, those that a promoted migration has been through
STEPS = ("cutover-50", "cutover-100", "stabilisation")
DEMO_PLAN = Path(__file__).resolve().parents[3] / "plans" / "demo.yaml"

# One column a trial: so many seeds in a row have every kind at least once.
DECK: tuple[tuple[str, ...], ...] = (
    ("kill:airflow-scheduler", "stop:airflow-api-server", "native:gap", "answers:forged"),
    ("kill:airflow-triggerer", "stop:guard", "native:auth_failure", "answers:replayed"),
    ("kill:airflow-api-server", "stop:airflow-scheduler", "journal:locked", "answers:http_503"),
    ("kill:airflow-dag-processor", "stop:prometheus", "native:disconnect", "marked:gate"),
    ("kill:guard", "stop:airflow-triggerer", "marked:advance"),
    ("kill:prometheus", "stop:sandbox", "native:schema_drift"),
    ("kill:sandbox", "stop:feed", "second_run", "both:disconnect"),
    ("kill:feed", "stop:airflow-dag-processor", "native:stale", "both:trade_gap"),
    # nothing that is the native feed's fault: these may be promoted
    ("kill:airflow-scheduler", "kill:airflow-triggerer", "answers:hang"),
    ("kill:airflow-dag-processor", "stop:guard", "second_run", "answers:empty"),
    ("kill:airflow-api-server", "stop:airflow-dag-processor", "answers:nan"),
    # and this one held: what nobody can judge is neither promoted nor taken back
    ("answers:doubtful", "kill:guard", "stop:airflow-api-server"),
    # promoted for sure: it needs nothing of what is struck, so that nobody can always go back
    ("kill:guard", "kill:airflow-dag-processor", "stop:airflow-dag-processor", "second_run"),
)
KINDS = frozenset(kind for trial in DECK for kind in trial)
# What no migration needs while it runs: whoever is struck by nothing else has to be promoted
HARMLESS = frozenset(
    {"kill:airflow-dag-processor", "stop:airflow-dag-processor", "kill:guard", "second_run"}
)
# Any of these may come on top: none of them is a reason to go back
EXTRAS = tuple(sorted(kind for kind in KINDS if kind.startswith(("kill:", "stop:", "journal:"))))

type Anchor = Literal["begun", "exposed"]
_EXPOSED_ONLY = ("native", "answers", "marked", "both")
_LASTS: Mapping[str, tuple[float, float]] = {
    "stop": (2.0, 15.0),
    "native": (2.0, 8.0),
    "both": (2.0, 8.0),
    "answers": (6.0, 20.0),
    "journal": (5.0, 40.0),
}
# Later than this nothing is sure to judge the breach, or even to be there any more
SOON_SECONDS = 10.0
GATE_SECONDS = 4.0
STRIKES_WITHIN_SECONDS = 40.0
_ENDS_EARLY = ("native", "marked")


@dataclass(frozen=True, kw_only=True)
class Strike:
    """One attack, so long after the migration has begun, or after its first exposure.

    What is stopped, locked or faulty is so for `seconds`; None: until the migration is over.
    `victim` is a place in the fleet, for the kinds that strike a feed.
    """

    kind: str
    anchor: Anchor
    after_seconds: float
    seconds: float | None
    victim: int


@dataclass(frozen=True, kw_only=True)
class Trial:
    """The strikes on one migration, in no order: they hang on two moments."""

    seed: int
    strikes: tuple[Strike, ...]

    @property
    def breached(self) -> bool:
        """Whether the venue is broken for native clients and stays so: it must go back."""
        return any(s.kind.startswith("native:") and s.seconds is None for s in self.strikes)


def make_trial(seed: int) -> Trial:
    """The trial of `seed`: its column of the deck, and up to two strikes on top."""
    rng = Random(f"nemesis:{seed}")
    dealt = DECK[(seed - 1) % len(DECK)]
    extras = rng.sample(EXTRAS, rng.choice((0, 1, 2)))
    kinds = dealt if HARMLESS.issuperset(dealt) else (*dealt, *extras)
    early = any(kind.startswith(_ENDS_EARLY) for kind in kinds)
    within = SOON_SECONDS if early else STRIKES_WITHIN_SECONDS
    lasting = _lasting(kinds, coin=rng.random() < 0.5)
    strikes = tuple(_strike(kind, rng, within, lasts=kind in lasting) for kind in kinds)
    return Trial(seed=seed, strikes=strikes)


def _lasting(kinds: Sequence[str], *, coin: bool) -> set[str]:
    """Those that go on until the migration is over: a forger always has a breach to hide."""
    breaches = {kind for kind in kinds if kind.startswith("native:")}
    if not breaches:
        return {"answers:doubtful"}
    return breaches if coin or {"answers:forged", "answers:replayed"} & set(kinds) else set()


def _strike(kind: str, rng: Random, within: float, *, lasts: bool) -> Strike:
    group = kind.partition(":")[0]
    anchor: Anchor = "begun"
    if group in _EXPOSED_ONLY or (group != "second_run" and rng.random() < 0.5):
        anchor = "exposed"
    if group in {"second_run", "answers"}:
        within = SOON_SECONDS
    low, high = _LASTS.get(group, (0.0, 0.0))
    # nobody is lied to before a gate asks
    first = GATE_SECONDS if group == "answers" else 0.0
    after, seconds = rng.uniform(first, first + within), rng.uniform(low, high)
    victim = rng.randrange(FLEET)
    return Strike(
        kind=kind,
        anchor=anchor,
        after_seconds=round(after, 1),
        seconds=None if lasts else round(seconds, 1),
        victim=victim,
    )


def plan_text() -> str:
    """The demo's criteria, in two short steps and a short watch."""
    plan: dict[str, Any] = yaml.safe_load(DEMO_PLAN.read_text())
    plan["name"] = "nemesis"
    plan["defaults"] |= {"interval": "4s", "max_duration": "60s", "blind_limit": "30s"}
    phases = plan["phases"]
    phases["cutover"]["steps"] = phases["cutover"]["steps"][1:]
    gates = [step["gate"] for step in phases["cutover"]["steps"]]
    for gate in (phases["shadow"]["gate"], *gates, phases["stabilisation"]["gate"]):
        gate["min_duration"] = "12s"
        gate["max_duration"] = "60s"
    return yaml.safe_dump(plan, sort_keys=False)
