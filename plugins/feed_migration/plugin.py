"""Registers the migration with Airflow. The scanner runs this file under the bare name `plugin`,
twice per process, so it only imports: absolutely, and without effects.
"""

from typing import Any

from airflow.plugins_manager import AirflowPlugin

from feed_migration.orchestration import listener
from feed_migration.orchestration.links import DashboardLink, PrometheusLink, ReportLink


class FeedMigrationPlugin(AirflowPlugin):
    """Adds the console, links from tasks, and who acts by hand to the journal."""

    name = "feed_migration"
    operator_extra_links = (PrometheusLink(), DashboardLink(), ReportLink())
    listeners = (listener,)

    # properties: only the api-server asks, and only it is to import what the console needs
    @property
    def fastapi_apps(self) -> list[dict[str, Any]]:
        """The console's application."""
        from feed_migration.console.app import URL_PREFIX, app  # noqa: PLC0415

        return [{"app": app, "url_prefix": URL_PREFIX, "name": "Backpack migration console"}]

    @property
    def external_views(self) -> list[dict[str, Any]]:
        """The console in Airflow's own frame, below the path that `[api] base_url` names."""
        from feed_migration.console.page_link import console_view  # noqa: PLC0415

        return [console_view()]
