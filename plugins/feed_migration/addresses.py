"""Where a reader finds more: pages of Airflow, Prometheus and Grafana as URLs. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote, urlencode

if TYPE_CHECKING:
    from feed_migration.deployment import Deployment

CONSOLE_PATH = "/plugin/backpack-migration"
REPORT_PATH = "/backpack/report"
_RANGE = "30m"

type Link = tuple[str, str]


@dataclass(frozen=True, kw_only=True)
class Addresses:
    """Base URLs without a slash at the end; `grafana` is "" where there is none."""

    airflow: str
    prometheus: str
    grafana: str = ""

    @property
    def console(self) -> str:
        """The migration's page in the Airflow UI."""
        return f"{self.airflow}{CONSOLE_PATH}"

    def dag_run(self, dag_id: str, run_id: str) -> str:
        """The page of a DAG run."""
        return f"{self.airflow}/dags/{quote(dag_id, safe='')}/runs/{quote(run_id, safe='')}"

    def question(self, dag_id: str, run_id: str, task_id: str) -> str:
        """The page on which a person answers what a task asks."""
        task = quote(task_id, safe="")
        return f"{self.dag_run(dag_id, run_id)}/tasks/{task}/required_actions?map_index=-1"

    def graph(self, query: str) -> str:
        """`query` on Prometheus's own graph page."""
        return graph_url(self.prometheus, query)

    def pages(self) -> Iterator[Link]:
        """The pages that are about the migration as a whole, by name."""
        yield "console", self.console
        if self.grafana:
            yield "dashboard", self.grafana


def addresses_of(deployment: "Deployment") -> Addresses:
    """Return the addresses of a deployment as people reach them."""
    public = deployment.public
    return Addresses(
        airflow=public.airflow.rstrip("/"),
        prometheus=public.prometheus.rstrip("/"),
        grafana=(public.grafana or "").rstrip("/"),
    )


def graph_url(prometheus_url: str, query: str) -> str:
    """Return the address of `query` in Prometheus's own graph page."""
    parameters = urlencode({"g0.expr": query, "g0.tab": "0", "g0.range_input": _RANGE})
    return f"{prometheus_url.rstrip('/')}/graph?{parameters}"
