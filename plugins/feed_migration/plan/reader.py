"""Plans: YAML becomes a validated Plan, or errors that name file, line and key.

docs/gates.md has the keys. All mistakes of a file are reported at once, in the order of its lines.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from hashlib import sha256
from itertools import pairwise
from pathlib import Path
from typing import Any

from feed_migration.document.json_lines import Place
from feed_migration.document.reader import Document, PlanError, Problem, read_document
from feed_migration.document.validation import meant, nearest, validated
from feed_migration.model import PHASES, Criterion, Gate, PhaseName, Plan, Step
from feed_migration.plan.schema import (
    CriterionSpec,
    GateSpec,
    PlanSpec,
    ThresholdSpec,
    check_bands,
)

__all__ = ["GateReader", "PlanError", "Problem", "load_plan"]

_WHOLE_FLEET_PERCENT = 100
_GATED: tuple[PhaseName, ...] = ("shadow", "stabilisation")
# Nothing is exposed there, so a blind pipeline has nothing to take back.
_UNEXPOSED: tuple[PhaseName, ...] = ("shadow",)


def load_plan(path: Path | str) -> Plan:
    """Read and validate a plan; raises PlanError with every problem of the file."""
    document = read_document(Path(path))
    spec = validated(document, PlanSpec, document.data, ())
    data: Mapping[str, Any] = document.data if isinstance(document.data, dict) else {}
    phases = data.get("phases")
    _check_order(document, phases)
    defaults = data.get("defaults")
    reader = GateReader(document, defaults if isinstance(defaults, dict) else _unreadable(defaults))
    reader.read_library(data.get("criteria"))
    gates = {place: reader.gate(gate, place) for place, gate in _gate_places(phases)}
    document.check()
    assert spec is not None  # noqa: S101 - no model means a problem, and `check` has raised
    steps = tuple(_steps(spec, gates))
    return Plan(name=spec.name, steps=steps, sha256=_fingerprint(spec.name, steps))


@dataclass
class GateReader:
    """Reads gates of one document, with its library of criteria and its defaults."""

    document: Document
    defaults: Mapping[str, Any]

    def __post_init__(self) -> None:
        self._library: dict[str, CriterionSpec | None] = {}
        allowed = set(GateSpec.model_fields) - {"criteria", "thresholds"}
        self._defaults = {key: self.defaults[key] for key in self.defaults if key in allowed}
        for key in [key for key in self.defaults if key not in allowed]:
            self.document.complain(("defaults", key), f"unknown key{meant(key, allowed)}")
            # a misspelt default stands for what it meant, or every gate would miss that key
            if (close := nearest(key, allowed)) is not None:
                self._defaults.setdefault(close, self.defaults[key])

    def read_library(self, data: Any) -> None:
        """Take the criteria that gates may name."""
        for index, item in enumerate(data if isinstance(data, list) else ()):
            place: Place = ("criteria", index)
            spec = validated(self.document, CriterionSpec, item, place)
            name = item.get("name") if isinstance(item, dict) else None
            if isinstance(name, str) and name in self._library:
                self.document.complain((*place, "name"), f"there are two criteria named {name!r}")
            elif isinstance(name, str):
                self._library[name] = spec

    def gate(self, data: Any, place: Place) -> Gate | None:
        """The gate at a place, or None with the problems noted."""
        if not isinstance(data, dict):
            self.document.complain(place, "a gate is a mapping with interval, criteria and so on")
            return None
        known = dict(self._defaults)
        if place[:2] == ("phases", "shadow") and "on_blind" not in data:
            known["on_blind"] = "hold"
        spec = validated(self.document, GateSpec, known | data, place, inherited=("defaults",))
        criteria = self._criteria(data, place)
        if spec is None:
            return None
        for key, text in spec.contradictions(criteria):
            # two gates that inherit one mistake tell of it once
            where: Place = (*place, key) if key in data else ("defaults", key)
            self.document.complain(where, text)
        return spec.gate(tuple(criteria))

    def _criteria(self, data: Mapping[str, Any], place: Place) -> list[Criterion]:
        items = data.get("criteria")
        items = items if isinstance(items, list) else []
        specs: dict[str, CriterionSpec] = {}
        unreadable = False
        for index, item in enumerate(items):
            inner = (*place, "criteria", index)
            spec = self._one(item, inner)
            if spec is None:
                unreadable = True
            elif spec.name in specs:
                self.document.complain(inner, f"criterion {spec.name!r} is there twice")
            else:
                specs[spec.name] = spec
        self._override(data.get("thresholds"), (*place, "thresholds"), specs, unreadable)
        if specs and not unreadable and all(spec.severity == "info" for spec in specs.values()):
            self.document.complain((*place, "criteria"), "only info criteria: none can decide")
        return [spec.criterion() for spec in specs.values()]

    def _one(self, item: Any, place: Place) -> CriterionSpec | None:
        if not isinstance(item, str):
            return validated(self.document, CriterionSpec, item, place)
        if item not in self._library:
            hint = meant(item, self._library)
            self.document.complain(place, f"no criterion is named {item!r}{hint}")
        return self._library.get(item)

    def _override(
        self, data: Any, place: Place, specs: dict[str, CriterionSpec], unreadable: bool
    ) -> None:
        for name, item in (data if isinstance(data, dict) else {}).items():
            inner = (*place, name)
            change = validated(self.document, ThresholdSpec, item, inner)
            if name not in specs:
                if not unreadable:
                    hint = meant(name, specs)
                    self.document.complain(inner, f"the gate has no criterion {name!r}{hint}")
            elif change is not None:
                given = {key: getattr(change, key) for key in change.model_fields_set}
                specs[name] = specs[name].model_copy(update=given)
                self._recheck(specs[name], inner)

    def _recheck(self, spec: CriterionSpec, place: Place) -> None:
        try:
            check_bands(spec)
        except ValueError as error:
            self.document.complain(place, str(error))


def _unreadable(defaults: Any) -> Mapping[str, Any]:
    """Stand-ins for `defaults` that are no mapping: that is one mistake, not one per gate."""
    return {} if defaults is None else {"interval": "1s", "min_duration": "1s"}


def _gate_places(phases: Any) -> Iterator[tuple[Place, Any]]:
    """Every gate of the plan, found in raw data so that one mistake hides no other."""
    if not isinstance(phases, dict):
        return
    for phase in _GATED:
        if isinstance(body := phases.get(phase), dict) and "gate" in body:
            yield ("phases", phase, "gate"), body["gate"]
    for index, step in enumerate(_ramp(phases)):
        if isinstance(step, dict) and "gate" in step:
            yield ("phases", "cutover", "steps", index, "gate"), step["gate"]


def _ramp(phases: Any) -> list[Any]:
    cutover = phases.get("cutover") if isinstance(phases, dict) else None
    steps = cutover.get("steps") if isinstance(cutover, dict) else None
    return steps if isinstance(steps, list) else []


def _check_order(document: Document, phases: Any) -> None:
    """Phases in runbook order, and a ramp that climbs to the whole fleet."""
    found = [name for name in (phases if isinstance(phases, dict) else ()) if name in PHASES]
    for earlier, later in pairwise(found):
        if PHASES.index(later) < PHASES.index(earlier):
            text = f"comes after {earlier}; the order is {', '.join(PHASES)}"
            document.complain(("phases", later), text)
    ramp = [step.get("percent") if isinstance(step, dict) else None for step in _ramp(phases)]
    for index, (low, high) in enumerate(pairwise(ramp), start=1):
        if isinstance(low, int) and isinstance(high, int) and high <= low:
            text = f"{high} after {low}: percent must ascend"
            document.complain(("phases", "cutover", "steps", index, "percent"), text)
    if ramp and isinstance(ramp[-1], int) and ramp[-1] != _WHOLE_FLEET_PERCENT:
        last: Place = ("phases", "cutover", "steps", len(ramp) - 1, "percent")
        document.complain(last, f"the last step must be 100 percent, was {ramp[-1]}")


def _steps(spec: PlanSpec, gates: Mapping[Place, Gate | None]) -> Iterator[Step]:
    for phase in PHASES:
        if phase == "cutover":
            for index, ramp in enumerate(spec.phases.cutover.steps):
                yield Step(
                    name=f"cutover-{ramp.percent}",
                    phase=phase,
                    percent=ramp.percent,
                    **ramp.asked(),
                    gate=gates[("phases", "cutover", "steps", index, "gate")],
                )
        else:
            gate = gates.get(("phases", phase, "gate"))
            asked = getattr(spec.phases, phase).asked()
            yield Step(name=phase, phase=phase, **asked, gate=gate)


def _fingerprint(name: str, steps: tuple[Step, ...]) -> str:
    meaning = {"name": name, "steps": [asdict(step) for step in steps]}
    canonical = json.dumps(meaning, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return sha256(canonical.encode()).hexdigest()
