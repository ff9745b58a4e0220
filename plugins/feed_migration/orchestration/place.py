"""Where a deployment is and which plan it follows: all that a DAG file knows at parse time."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from feed_migration.model import Plan
from feed_migration.plan.reader import load_plan

PROJECT_ROOT = Path(__file__).resolve().parents[3]


@dataclass(frozen=True, kw_only=True)
class Place:
    """Absolute paths of the state directory (BACKPACK_HOME) and of the plan (BACKPACK_PLAN)."""

    home: Path
    plan_path: Path

    def plan(self) -> Plan:
        """Read and validate the plan; PlanError names the file and the line of a mistake."""
        return load_plan(self.plan_path)

    def to_json(self) -> dict[str, str]:
        """Plain values, for a trigger's arguments."""
        return {"home": str(self.home), "plan_path": str(self.plan_path)}

    @classmethod
    def from_json(cls, values: Mapping[str, str]) -> Self:
        """The inverse of `to_json`."""
        return cls(home=Path(values["home"]), plan_path=Path(values["plan_path"]))


def current_place(environment: Mapping[str, str] | None = None) -> Place:
    """Read the place from the environment, with the defaults of the demo."""
    variables = os.environ if environment is None else environment
    home = variables.get("BACKPACK_HOME") or "var"
    plan = variables.get("BACKPACK_PLAN") or "plans/demo.yaml"
    return Place(home=PROJECT_ROOT / home, plan_path=PROJECT_ROOT / plan)
