"""The only module of this package that Airflow's plugin scanner loads."""

from airflow.plugins_manager import AirflowPlugin


class BackpackFeedPlugin(AirflowPlugin):
    """Makes the package known to Airflow; it adds nothing to the UI and imports no feed."""

    name = "backpack_feed"
