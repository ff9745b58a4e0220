"""What Kubernetes says of a pod: its feed, its state in words. Pure."""

from kubernetes.client import V1ContainerState, V1ContainerStatus, V1Pod

from feed_migration.errors import FleetUnavailable
from feed_migration.fleet.base import Variant
from feed_migration.fleet.kubernetes_spec import read_variant


def pod_name(pod: V1Pod) -> str:
    """Return the name of a pod."""
    return (pod.metadata.name if pod.metadata else None) or ""


def pod_uid(pod: V1Pod) -> str:
    """Return what tells a pod from the next one of its name."""
    return (pod.metadata.uid if pod.metadata else None) or ""


def is_ending(pod: V1Pod) -> bool:
    """Whether the pod is being deleted."""
    return pod.metadata is not None and pod.metadata.deletion_timestamp is not None


def made_as(pod: V1Pod, container: str) -> Variant | None:
    """Return the feed a pod was made for; None for a flag that means nothing."""
    try:
        return read_variant(pod.spec, container, f"pod {pod_name(pod)}")
    except FleetUnavailable:
        return None


def is_ready(pod: V1Pod) -> bool:
    """Whether the readiness probe passes and the pod stays."""
    conditions = (pod.status.conditions if pod.status else None) or ()
    return not is_ending(pod) and any(
        condition.type == "Ready" and condition.status == "True" for condition in conditions
    )


def describe(pod: V1Pod | None, name: str, container: str) -> str:
    """Return why a pod is not what it should be: phase, container state, exit code, restarts."""
    if pod is None:
        return f"pod {name} does not exist"
    if is_ending(pod):
        return f"pod {name} is terminating"
    statuses = (pod.status.container_statuses if pod.status else None) or ()
    status = next((entry for entry in statuses if entry.name == container), None)
    if status is not None:
        return f"pod {name}: container {container} {_container_words(status)}"
    return f"pod {name}: {(pod.status.phase if pod.status else None) or 'Unknown'}{_why(pod)}"


def _why(pod: V1Pod) -> str:
    conditions = (pod.status.conditions if pod.status else None) or ()
    failed = [entry for entry in conditions if entry.status == "False" and entry.message]
    return f" ({failed[0].reason}: {failed[0].message})" if failed else ""


def _container_words(status: V1ContainerStatus) -> str:
    parts = [_state_words(status.state)]
    last = status.last_state.terminated if status.last_state else None
    if last is not None:
        parts.append(f"last exit code {last.exit_code}")
    if status.restart_count:
        parts.append(f"{status.restart_count} restarts")
    if not status.ready:
        parts.append("not ready")
    return ", ".join(parts)


def _state_words(state: V1ContainerState | None) -> str:
    if state is not None and state.waiting is not None:
        return state.waiting.reason or "waiting"
    if state is not None and state.terminated is not None:
        return f"terminated with exit code {state.terminated.exit_code}"
    return "running" if state is not None and state.running is not None else "in no known state"
