"""A critical alert on its way: from Prometheus to Alertmanager, and from there to a pager."""

import json
import secrets
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote, urlsplit

from tools.compose.places import ALERTMANAGER_URL
from tools.compose_check import pager
from tools.compose_check.engine import CheckError
from tools.compose_check.project import Project

# whatever takes a migration back fires it
ALERT = "BackpackRollbackBegun"
DEADLINE_SECONDS = 60.0
_TIMEOUT_SECONDS = 10.0
_POLL_SECONDS = 1.0
_CRITICAL = quote('severity="critical"')


def pager_settings() -> dict[str, str]:
    """Return what .env says of a pager that is the check's own, in the guard's container."""
    return {
        "ALERTMANAGER_CONFIG": "slack.yaml",
        "ALERT_PAGER": f"http://guard:{pager.PORT}/{secrets.token_urlsafe(18)}",
    }


@contextmanager
def arriving(
    project: Project, settings: Mapping[str, str], say: Callable[[str], None]
) -> Iterator[None]:
    """Require of the block that its critical alert comes to Alertmanager and to the pager.

    Without an Alertmanager among the parts nothing is required.
    """
    if not project.parts.alertmanager:
        yield
        return
    require_known(f"http://127.0.0.1:{settings['PROMETHEUS_PORT']}")
    say(f"Prometheus tells {ALERTMANAGER_URL}")
    guard = project.containers()["guard"]["Id"]
    docker = project.engine.docker
    docker("exec", "--detach", guard, "python", "-m", "tools.compose_check.pager")
    with critical_alerts(f"http://127.0.0.1:{settings['ALERTMANAGER_PORT']}") as seen:
        yield
    path = urlsplit(settings["ALERT_PAGER"]).path

    def told() -> list[str]:
        return pager.titles(docker("exec", guard, "cat", str(pager.TOLD), check=False), path)

    wake_up = f"FIRING: {ALERT}"
    _wait(lambda: wake_up in told())
    say(f"critical in Alertmanager: {', '.join(sorted(seen)) or 'none'}")
    say(f"told to the pager: {', '.join(told()) or 'nothing'}")
    if ALERT not in seen:
        raise CheckError(f"{ALERT} did not come to Alertmanager")
    if wake_up not in told():
        raise CheckError(f"{ALERT} did not come to the pager")


def require_known(prometheus_url: str) -> None:
    """Raise CheckError unless our Alertmanager is among those that Prometheus tells of alerts."""
    wanted = f"{ALERTMANAGER_URL}/api/v2/alerts"

    def known() -> bool:
        data = _get(f"{prometheus_url}/api/v1/alertmanagers")["data"]
        return wanted in [one["url"] for one in data["activeAlertmanagers"]]

    if not _wait(known):
        raise CheckError(f"{wanted} is not among Prometheus's active Alertmanagers")


@contextmanager
def critical_alerts(alertmanager_url: str) -> Iterator[set[str]]:
    """Yield the names of the critical alerts that Alertmanager has during the block."""
    seen: set[str] = set()
    ended = threading.Event()
    url = f"{alertmanager_url}/api/v2/alerts?filter={_CRITICAL}"

    def look() -> None:
        while not ended.wait(_POLL_SECONDS):
            try:
                seen.update(alert["labels"]["alertname"] for alert in _get(url))
            except (OSError, ValueError):
                # a busy machine; the next look counts
                continue

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        yield seen
    finally:
        ended.set()
        thread.join(_TIMEOUT_SECONDS)


def _get(url: str) -> Any:
    with urllib.request.urlopen(url, timeout=_TIMEOUT_SECONDS) as answer:  # noqa: S310 - our own
        return json.load(answer)


def _wait(holds: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not (held := holds()) and time.monotonic() < deadline:
        time.sleep(_POLL_SECONDS)
    return held
