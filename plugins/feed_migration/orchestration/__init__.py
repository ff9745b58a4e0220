"""Airflow adapters: everything that imports `airflow` lives here and in `feed_migration.plugin`."""
