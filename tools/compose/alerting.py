"""Who is told of alerts: the Alertmanagers that .env names, and the pager of our own one.

Written at every `up`. Prometheus follows the file, so a change restarts nothing.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import SplitResult, urlsplit

from tools.compose.control_secrets import write_private
from tools.compose.places import ALERTMANAGER_URL, ComposeError, Places

_ALERTS_PATH = "/api/v2/alerts"
_DEFAULT_PORTS = {"http": 80, "https": 443}
# of Alertmanager's group, which is ours
_GROUP_READS = 0o640
_EVERYBODY_LOOKS = 0o755
_EVERYBODY_READS = 0o644


def write_alerting(places: Places, environ: Mapping[str, str]) -> str:
    """Write both and return what will become of a critical alert, in words; raises ComposeError."""
    urls = environ.get("ALERTMANAGER_URLS", "").replace(",", " ").split()
    groups = discovery(urls)
    pager = environ.get("ALERT_PAGER", "").strip()
    if ALERTMANAGER_URL in [url.rstrip("/") for url in urls] and not pager:
        raise ComposeError(
            "ALERT_PAGER is empty, so Alertmanager would wake nobody: set it in .env,"
            " or empty ALERTMANAGER_URLS"
        )
    write_private(places.pager, pager)
    places.pager.chmod(_GROUP_READS)
    places.alertmanagers.parent.mkdir(exist_ok=True)
    places.alertmanagers.parent.chmod(_EVERYBODY_LOOKS)
    # at once: Prometheus reads it as it changes
    draft = places.alertmanagers.with_suffix(".new")
    draft.write_text(json.dumps(groups))
    draft.chmod(_EVERYBODY_READS)
    draft.replace(places.alertmanagers)
    if not urls:
        return "critical alerts wake nobody: ALERTMANAGER_URLS is empty in .env"
    return f"critical alerts go to {', '.join(urls)}"


def discovery(urls: Sequence[str]) -> list[dict[str, Any]]:
    """Return Prometheus's discovery file, a group for each URL; ComposeError where one is none.

    Its labels `scheme` and `path` are put where they belong by the shipped `relabel_configs`.
    """
    groups = []
    for url in urls:
        parts = _parts(url)
        labels = {
            "scheme": parts.scheme,
            "path": f"{parts.path.rstrip('/')}{_ALERTS_PATH}",
        }
        host = f"[{parts.hostname}]" if ":" in str(parts.hostname) else parts.hostname
        port = parts.port or _DEFAULT_PORTS[parts.scheme]
        groups.append({"targets": [f"{host}:{port}"], "labels": labels})
    return groups


def _parts(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        usable = (
            parts.scheme in _DEFAULT_PORTS
            and parts.hostname
            and parts.port != 0
            and "@" not in parts.netloc
            and not (parts.query or parts.fragment)
        )
    except ValueError:
        usable = None
    if not usable:
        # not with the value: it may hold a password
        raise ComposeError(
            "ALERTMANAGER_URLS: one is no http(s) URL without user and query, correct .env"
        )
    return parts
