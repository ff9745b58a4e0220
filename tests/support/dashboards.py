"""Grafana dashboards as data: their panels, and their queries as Grafana would send them."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parents[2] / "deploy" / "grafana" / "dashboards"
NAMES = tuple(sorted(path.stem for path in FOLDER.glob("*.json")))
_VARIABLE = re.compile(r"\$(?:\{(\w+)(?::\w+)?\}|(\w+))")
BUILT_IN = {"__rate_interval": "1m", "__interval": "15s", "__range": "1h"}


@dataclass(frozen=True)
class Query:
    """One query of a panel, variables and all; `instant` asks for now, else for a range."""

    dashboard: str
    panel: str
    ref: str
    expression: str
    instant: bool

    @property
    def name(self) -> str:
        """For the ids of tests."""
        return f"{self.dashboard}/{self.panel}/{self.ref}"


def dashboard(name: str) -> dict[str, Any]:
    """One dashboard."""
    loaded: dict[str, Any] = json.loads((FOLDER / f"{name}.json").read_text())
    return loaded


def panels(name: str) -> list[dict[str, Any]]:
    """Its panels, also those in collapsed rows."""
    found: list[dict[str, Any]] = []
    for panel in dashboard(name)["panels"]:
        found += [panel, *panel.get("panels", ())]
    return found


def queries(name: str) -> Iterator[Query]:
    """Every query of its panels."""
    for panel in panels(name):
        for target in panel.get("targets", ()):
            yield Query(name, panel["title"], target["refId"], target["expr"], target["instant"])


def annotations(name: str) -> Iterator[Query]:
    """The queries of its annotations."""
    for one in dashboard(name)["annotations"]["list"]:
        yield Query(name, one["name"], "annotation", one["target"]["expr"], instant=False)


def variables(name: str) -> dict[str, dict[str, Any]]:
    """Its variables by name."""
    return {one["name"]: one for one in dashboard(name)["templating"]["list"]}


def substituted(text: str, values: Mapping[str, str]) -> str:
    """`text` with its variables replaced; raises KeyError for one that nobody defines."""
    return _VARIABLE.sub(lambda found: values[found[1] or found[2]], text)


def everything(name: str) -> dict[str, str]:
    """Values of all variables as Grafana has them with "All" chosen."""
    chosen = {
        key: str(one.get("allValue") or one.get("query")) for key, one in variables(name).items()
    }
    return chosen | BUILT_IN
