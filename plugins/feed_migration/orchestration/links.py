"""Links on tasks to what an operator looks at next: query, dashboard, report.

The plugin registers them, so the api-server computes them whenever they are looked at: they are
there while a gate waits, which a link stored by the finished task would not be.
"""

from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import urlencode, urlsplit

from airflow.configuration import conf
from airflow.sdk.bases.operatorlink import BaseOperatorLink

from feed_migration.addresses import REPORT_PATH
from feed_migration.model import Plan
from feed_migration.orchestration.act_operators import AdvanceOperator, ReportOperator
from feed_migration.orchestration.approval_operator import StepApprovalOperator
from feed_migration.orchestration.gate_operator import GateOperator
from feed_migration.orchestration.place import current_place
from feed_migration.orchestration.rollback_operators import (
    DocumentOperator,
    RevertOperator,
    TakeBackOperator,
)

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator

    from feed_migration.addresses import Addresses


class PrometheusLink(BaseOperatorLink):
    """Opens the first criterion of the gate as a graph."""

    name = "Prometheus"
    operators: ClassVar[list[type["BaseOperator"]]] = [GateOperator]

    def get_link(self, operator: "BaseOperator", *, ti_key: Any) -> str:  # noqa: ARG002
        """Return the URL, or "" where there is no such gate or no deployment."""
        query = first_query(current_place().plan(), ti_key.task_id)
        return addresses().graph(query) if query else ""


class DashboardLink(BaseOperatorLink):
    """Opens the Grafana dashboard of the deployment."""

    name = "Dashboard"
    operators: ClassVar[list[type["BaseOperator"]]] = [
        GateOperator,
        AdvanceOperator,
        StepApprovalOperator,
    ]

    def get_link(self, operator: "BaseOperator", *, ti_key: Any) -> str:  # noqa: ARG002
        """Return the URL, or "" where deployment.yaml has no `grafana_url`."""
        return addresses().grafana


class ReportLink(BaseOperatorLink):
    """Opens the report of the migration that the DAG run drives, as far as it has come."""

    name = "Report"
    operators: ClassVar[list[type["BaseOperator"]]] = [
        ReportOperator,
        GateOperator,
        StepApprovalOperator,
        RevertOperator,
        DocumentOperator,
        TakeBackOperator,
    ]

    def get_link(self, operator: "BaseOperator", *, ti_key: Any) -> str:  # noqa: ARG002
        """Return the path, under whatever address and prefix the reader came by."""
        prefix = urlsplit(conf.get("api", "base_url", fallback="")).path.rstrip("/")
        return f"{prefix}{REPORT_PATH}?{urlencode({'run': ti_key.run_id})}"


def addresses() -> "Addresses":
    """Return the addresses of the deployment that this process works on."""
    from feed_migration.addresses import addresses_of  # noqa: PLC0415 - not while DAGs are parsed
    from feed_migration.deployment import load_deployment  # noqa: PLC0415

    return addresses_of(load_deployment(current_place().home))


def first_query(plan: Plan, task_id: str) -> str | None:
    """Return the first query of the gate whose task is `<step>.gate`."""
    for step in plan.steps:
        if step.gate is not None and task_id == f"{step.name.replace('-', '_')}.gate":
            return step.gate.criteria[0].query
    return None
