"""The dashboards as files: valid, whole, and asking for nothing that does not exist.

Validity is that of Grafana's Foundation SDK, which is made from Grafana's own schemas, here of 10.1,
whose dashboards later versions migrate: a dashboard is read into its types and written again, panel by
panel with the types of the panel's plugin. Whatever went in must come back, so a key that no schema
knows shows. It does not cover values whose type Python lets pass, nor what Grafana has no schema for:
names of units, options of transformations, and what the Prometheus datasource adds to annotations.
"""

import json
import re
from itertools import combinations
from pathlib import Path

import pytest
import yaml
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard
from promql_parser import parse

from tests.support.dashboards import (
    NAMES,
    annotations,
    dashboard,
    everything,
    panels,
    queries,
    substituted,
    variables,
)
from tests.support.markdown_tables import tables, ticked

REPOSITORY = Path(__file__).parents[2]
PROVISIONING = REPOSITORY / "deploy" / "grafana" / "provisioning"
UIDS = {"fleet": "backpack-fleet", "migration": "backpack-migration"}
GRID_WIDTH = 24
MISSING = object()
# what the Prometheus datasource adds to annotations, and what is newer than 10.1
OF_THE_DATASOURCE = {"titleFormat", "textFormat", "tagKeys", "useValueForTime", "expr", "refId"}
NEWER = ("options", "tooltip", "mode")
ALL_QUERIES = [query for name in NAMES for query in (*queries(name), *annotations(name))]
QUOTED = re.compile(r'"[^"]*"')
METRIC = re.compile(r"(?<![\w:])(?:backpack_feed|feed_migration|process)[_:][\w:]+")


def known_series():
    """Every name that docs/metrics.md lists, histograms with what belongs to them."""
    found = {"up", "ALERTS"}
    for rows in tables((REPOSITORY / "docs" / "metrics.md").read_text()).values():
        for row in rows:
            name = ticked(row.get("Metric") or row["Series"])[0]
            found |= {name, f"{name}_bucket"} if row.get("Type") == "histogram" else {name}
    return found


@pytest.mark.parametrize("name", NAMES)
def test_grafanas_schema_knows_every_key(name):
    """Read into the SDK's types and written again nothing is lost."""
    register_default_plugins()
    given = dashboard(name)
    again = json.loads(json.dumps(Dashboard.from_json(given), cls=JSONEncoder))
    lost = [path for path in missing(given, again) if path[-3:] != NEWER]
    assert [path for path in lost if not is_of_the_datasource(path)] == []


def is_of_the_datasource(path):
    return path[0] == "annotations" and path[-1] in OF_THE_DATASOURCE


def missing(given, again, path=()):
    """Paths of what is in `given` and not, or otherwise, in `again`."""
    if isinstance(given, dict) and isinstance(again, dict):
        for key, value in given.items():
            yield from missing(value, again.get(key, MISSING), (*path, key))
    elif isinstance(given, list) and isinstance(again, list) and len(given) == len(again):
        for index, (one, other) in enumerate(zip(given, again, strict=True)):
            yield from missing(one, other, (*path, index))
    elif given != again:
        yield path


@pytest.mark.parametrize("name", NAMES)
def test_panels_say_what_they_show(name):
    """Title and description; unique ids; a row is only a heading."""
    found = panels(name)
    assert len({panel["id"] for panel in found}) == len(found)
    for panel in found:
        assert panel["title"]
        if panel["type"] != "row":
            assert panel["description"].endswith("."), panel["title"]
            assert panel["datasource"]["uid"] == "${datasource}"


@pytest.mark.parametrize("name", NAMES)
def test_panels_lie_side_by_side(name):
    """None over another, none beyond the edge."""
    places = [(panel["title"], panel["gridPos"]) for panel in panels(name)]
    for title, place in places:
        assert place["x"] + place["w"] <= GRID_WIDTH, title
    for (one, a), (other, b) in combinations(places, 2):
        apart = (
            a["x"] + a["w"] <= b["x"]
            or b["x"] + b["w"] <= a["x"]
            or a["y"] + a["h"] <= b["y"]
            or b["y"] + b["h"] <= a["y"]
        )
        assert apart, (one, other)


@pytest.mark.parametrize("query", ALL_QUERIES, ids=lambda query: query.name)
def test_queries_parse_and_ask_for_series_that_exist(query):
    """With "All" chosen; names as docs/metrics.md has them, which is held against the code."""
    text = substituted(query.expression, everything(query.dashboard))
    parse(text)
    assert set(METRIC.findall(QUOTED.sub("", text))) <= known_series()


@pytest.mark.parametrize("name", NAMES)
def test_variables_and_links_lead_on(name):
    """Every variable is used; the other dashboard, the console and Airflow are a click away."""
    text = json.dumps(dashboard(name))
    for variable in variables(name):
        assert re.search(rf"\$\{{?{variable}\b", text), variable
    links = {link["title"]: link["url"] for link in dashboard(name)["links"]}
    (other,) = set(NAMES) - {name}
    assert f"/d/{UIDS[other]}" in links.values()
    for title in ("Console", "Airflow"):
        assert links[title].startswith("${airflow}/")
    assert dashboard(name)["uid"] == UIDS[name]


def test_provisioning_names_folder_and_datasource():
    """As Grafana's container finds them in docker-compose.yaml."""
    (source,) = yaml.safe_load((PROVISIONING / "datasources" / "prometheus.yaml").read_text())[
        "datasources"
    ]
    assert (source["type"], source["url"]) == ("prometheus", "$PROMETHEUS_URL")
    (provider,) = yaml.safe_load((PROVISIONING / "dashboards" / "backpack.yaml").read_text())[
        "providers"
    ]
    assert provider["options"]["path"] == "/var/lib/grafana/dashboards"
