"""Configuration files of a composed deployment, as data. No I/O."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from tools.compose.places import (
    AIRFLOW_URL,
    FEED_COMMAND,
    FLEET_HOST,
    GUARD_URL,
    POSTGRES_HOST,
    PROMETHEUS_URL,
    SANDBOX_REST_URL,
    SANDBOX_WS_URL,
    Places,
)

Venue = Literal["sandbox", "backpack"]


def deployment(
    places: Places, venue: Venue, handlers: Mapping[str, int], shadows: Mapping[str, int]
) -> dict[str, Any]:
    """Return deployment.yaml: where Airflow, the guard and the command line find each part."""
    return {
        "prometheus_url": PROMETHEUS_URL,
        "journal_url": (
            f"postgresql://backpack_journal@{POSTGRES_HOST}/backpack?passfile={places.pgpass}"
        ),
        "fleet": {
            "kind": "supervisor",
            "socket": str(places.feed / "supervisor.sock"),
            "include_dir": str(places.programs),
            "ready_deadline_seconds": 60,
            "max_unavailable": 5,
            # the fleet's container has its own, whoever writes the file
            "command": list(FEED_COMMAND),
        },
        "instances": [_instance(name, port) for name, port in handlers.items()],
        "shadow_instances": [_instance(name, port) for name, port in shadows.items()],
        "venue": venue_urls(places, venue),
        "credentials_file": str(places.api_key),
        "airflow": {
            "url": AIRFLOW_URL,
            "username": "admin",
            "password_file": str(places.airflow_passwords),
        },
        "guard_url": GUARD_URL,
    }


def handler(
    places: Places, venue: Venue, instance_id: str, port: int, symbols: Sequence[str]
) -> dict[str, Any]:
    """Return the configuration of one FeedHandler process."""
    return {
        "instance_id": instance_id,
        "symbols": list(symbols),
        "venue": venue_urls(places, venue),
        "credentials_file": str(places.api_key),
        # on the internal network, which is what the container is on
        "metrics": {"host": "0.0.0.0", "port": port},  # noqa: S104
        "sinks": [{"kind": "tape", "directory": str(places.feed / "tapes" / instance_id)}],
    }


def shadow(
    places: Places, venue: Venue, instance_id: str, port: int, symbols: Sequence[str]
) -> dict[str, Any]:
    """Return the configuration of a shadow process: both feeds, read only."""
    evidence = str(places.home / "parity" / f"{instance_id}.json")
    base = handler(places, venue, instance_id, port, symbols)
    return {**base, "role": "shadow", "sinks": [], "parity_file": evidence}


def targets(handlers: Mapping[str, int], shadows: Mapping[str, int]) -> list[dict[str, Any]]:
    """Return Prometheus's discovery file: handlers and shadows, told apart by the label `role`."""
    return [
        {"targets": [f"{FLEET_HOST}:{port}" for port in ports.values()], "labels": {"role": role}}
        for role, ports in (("handler", handlers), ("shadow", shadows))
    ]


def venue_urls(places: Places, venue: Venue) -> dict[str, str]:
    """Return where the venue is; Backpack's own addresses are the defaults of every part."""
    if venue == "backpack":
        return {}
    return {
        "rest_url": SANDBOX_REST_URL,
        "ws_url": SANDBOX_WS_URL,
        "ca_file": str(places.ca_file),
    }


def shards(symbols: Sequence[str], count: int) -> list[list[str]]:
    """Deal `symbols` to `count` shards in a stable order."""
    ordered = sorted(symbols)
    return [ordered[index::count] for index in range(count)]


def _instance(name: str, port: int) -> dict[str, str]:
    return {"id": name, "url": f"http://{FLEET_HOST}:{port}", "config": f"fleet/{name}.yaml"}
