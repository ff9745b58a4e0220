"""Registers the migration with Airflow. The scanner runs this file under the bare name `plugin`,
twice per process, so it only imports: absolutely, and without effects.
"""

from airflow.plugins_manager import AirflowPlugin

from feed_migration.orchestration import listener
from feed_migration.orchestration.prometheus_link import PrometheusLink


class FeedMigrationPlugin(AirflowPlugin):
    """Adds the link from a gate to its query, and who acts by hand to the journal."""

    name = "feed_migration"
    operator_extra_links = (PrometheusLink(),)
    listeners = (listener,)
