"""Where Airflow's UI finds the console."""

from typing import Any
from urllib.parse import urlsplit

from airflow.configuration import conf

URL_PREFIX = "/backpack"


def console_view() -> dict[str, Any]:
    """Return the entry of Airflow's menu; its frame is an absolute path, prefix and all."""
    prefix = urlsplit(conf.get("api", "base_url", fallback="")).path.rstrip("/")
    return {
        "name": "Backpack migration",
        "href": f"{prefix}{URL_PREFIX}/",
        "url_route": "backpack-migration",
        "destination": "nav",
        "category": "browse",
        "icon": f"{prefix}{URL_PREFIX}/static/icon.svg",
    }
