"""A link on every gate to the question it asks Prometheus first."""

from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import urlencode

from airflow.sdk.bases.operatorlink import BaseOperatorLink

from feed_migration.model import Plan
from feed_migration.orchestration import runtime as runtimes
from feed_migration.orchestration.gate_operator import GateOperator
from feed_migration.orchestration.place import current_place

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator

RANGE = "30m"


class PrometheusLink(BaseOperatorLink):
    """Opens the first criterion of the gate as a graph.

    The plugin registers it, so the api-server computes it whenever it is looked at: it is there
    while the gate waits, which a link stored by the finished task would not be.
    """

    name = "Prometheus"
    operators: ClassVar[list[type["BaseOperator"]]] = [GateOperator]

    def get_link(self, operator: "BaseOperator", *, ti_key: Any) -> str:  # noqa: ARG002
        """Return the URL, or "" where there is no such gate or no deployment."""
        place = current_place()
        query = first_query(place.plan(), ti_key.task_id)
        return graph_url(runtimes.prometheus_url(place), query) if query else ""


def first_query(plan: Plan, task_id: str) -> str | None:
    """Return the first query of the gate whose task is `<step>.gate`."""
    for step in plan.steps:
        if step.gate is not None and task_id == f"{step.name.replace('-', '_')}.gate":
            return step.gate.criteria[0].query
    return None


def graph_url(prometheus_url: str, query: str) -> str:
    """Return the address of `query` in Prometheus's own graph page."""
    parameters = urlencode({"g0.expr": query, "g0.tab": "0", "g0.range_input": RANGE})
    return f"{prometheus_url.rstrip('/')}/graph?{parameters}"
