"""What a FeedHandler says of itself: GET /snapshot → `InstanceStatus`. Never raises."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import datetime
from typing import Any

import requests

from feed_migration.deployment import Instance
from feed_migration.fleet.base import InstanceStatus

TIMEOUT_SECONDS = 2.0
_MAX_THREADS = 16


def read_statuses(
    instances: Sequence[Instance], timeout_seconds: float = TIMEOUT_SECONDS
) -> tuple[InstanceStatus, ...]:
    """Ask all `instances` at once; one that does not answer in time is `unknown` and not ready."""
    if not instances:
        return ()
    with ThreadPoolExecutor(max_workers=min(_MAX_THREADS, len(instances))) as pool:
        return tuple(pool.map(lambda instance: _read(instance, timeout_seconds), instances))


def _read(instance: Instance, timeout_seconds: float) -> InstanceStatus:
    url = f"{instance.url}/snapshot"
    try:
        with requests.Session() as session:
            # the fleet is ours: no proxy of the operator's shell, no redirect elsewhere
            session.trust_env = False
            response = session.get(url, timeout=timeout_seconds, allow_redirects=False)
            response.raise_for_status()
            answer = response.json()
    except requests.ConnectionError:
        return _silent(instance, "does not listen")
    except requests.Timeout:
        return _silent(instance, f"no answer within {timeout_seconds:g} s")
    except requests.RequestException as error:
        return _silent(instance, f"{type(error).__name__}: {error}")
    if not isinstance(answer, Mapping):
        return _silent(instance, "the answer is no object")
    return parse_snapshot(instance, answer)


def parse_snapshot(instance: Instance, answer: Mapping[str, Any]) -> InstanceStatus:
    """Return the status in a /snapshot answer; what it lacks is taken as not ready."""
    claimed = answer.get("instance_id", instance.id)
    if claimed != instance.id:
        return _silent(instance, f"{instance.url} is {claimed!r}")
    metrics = answer.get("metrics")
    metrics = metrics if isinstance(metrics, Mapping) else {}
    variant = answer.get("variant")
    return InstanceStatus(
        id=instance.id,
        variant=str(variant or "unknown"),
        ready=answer.get("ready") is True,
        healthy=answer.get("healthy") is True,
        reasons=tuple(str(reason) for reason in answer.get("reasons") or ()),
        url=instance.url,
        messages=_total(metrics.get("messages")),
        trades=_total(metrics.get("trades")),
        pid=_total(answer.get("pid")),
        started_at=_seconds(answer.get("started_at")),
    )


def _silent(instance: Instance, reason: str) -> InstanceStatus:
    return InstanceStatus(
        id=instance.id,
        variant="unknown",
        ready=False,
        healthy=False,
        reasons=(reason,),
        url=instance.url,
    )


def _total(value: object) -> int:
    """Return a count, or the sum of counts by channel and symbol."""
    if isinstance(value, Mapping):
        return sum(_total(entry) for entry in value.values())
    return int(value) if isinstance(value, int | float) else 0


def _seconds(value: object) -> float:
    """Return unix seconds of a number or an ISO time, 0 for anything else."""
    if isinstance(value, int | float):
        return float(value)
    with suppress(TypeError, ValueError):
        return datetime.fromisoformat(value).timestamp()  # type: ignore[arg-type]
    return 0.0
