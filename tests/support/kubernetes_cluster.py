"""A cluster in memory: StatefulSets, their controller, their pods. Time passes only by `pass_time`.

The controller follows `pkg/controller/statefulset/stateful_set_control.go`: missing pods are made
from the template at or above the partition and from the current revision below it; per turn one pod
of an old revision is deleted, the highest first, and none while an updated one above is not ready;
the current revision becomes the update revision once all pods are updated and ready.
"""

import copy
import hashlib
import itertools
import json
import threading
import time
from collections import Counter
from collections.abc import Mapping
from typing import Any

FLAG = "CRYPTOFEED_BACKPACK_NATIVE"
TURN_SECONDS = 0.1
REVISION = "controller-revision-hash"

type Document = dict[str, Any]


class MissingError(Exception):
    """There is no such object."""


class ConflictError(Exception):
    """The object is not the one that was meant."""


class Cluster:
    """One namespace. What goes wrong is set by the attributes below, pod name → variant or not."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.now = 0.0
        self.sets: dict[str, Document] = {}
        self.pods: dict[str, Document] = {}
        self.revisions: dict[str, Document] = {}
        self.never_ready: dict[str, str] = {}
        self.crashing: dict[str, str] = {}
        self.stuck: set[str] = set()
        # what the shadows say that they compared
        self.parity: dict[str, Any] = {"compared": {"trade": 7}, "agreed": {"trade": 6}}
        self.dry: set[str] = set()
        self.controller_runs = True
        self.start_seconds = 1.0
        self.stop_seconds = 0.5
        self.deletions: Counter[str] = Counter()
        self.fewest_ready: dict[str, int] = {}
        self._versions = itertools.count(1)
        self._uids = itertools.count(1)
        self._messages: Counter[str] = Counter()

    # -- time

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        """For a driver's `sleep`: the cluster goes on meanwhile."""
        self.pass_time(max(seconds, TURN_SECONDS))
        # lets a background thread have its turn, too
        time.sleep(0)

    def pass_time(self, seconds: float) -> None:
        for _ in range(max(1, round(seconds / TURN_SECONDS))):
            with self.lock:
                self.now += TURN_SECONDS
                self._kubelet()
                if self.controller_runs:
                    for document in self.sets.values():
                        self._control(document)

    # -- what the API server does

    def create(self, document: Document) -> None:
        with self.lock:
            made = copy.deepcopy(document)
            made["metadata"] |= {"generation": 1, "resourceVersion": str(next(self._versions))}
            made["metadata"].setdefault("annotations", {})
            made["status"] = {"replicas": 0}
            self.sets[made["metadata"]["name"]] = made

    def read_set(self, name: str) -> Document:
        return _read(self.sets, name)

    def read_revision(self, name: str) -> Document:
        with self.lock:
            return _read(self.revisions, name)

    def patch_set(self, name: str, patch: Mapping[str, Any], check: Any) -> Document:
        """Merge strategically, as far as StatefulSets need it; `check` may refuse the result."""
        with self.lock:
            before = _read(self.sets, name)
            wanted = patch.get("metadata", {}).get("resourceVersion")
            if wanted not in {None, before["metadata"]["resourceVersion"]}:
                raise ConflictError(f"the object {name} has been modified")
            after = merged(before, patch)
            check(after)
            if after["spec"] != before["spec"]:
                after["metadata"]["generation"] += 1
            self._store(after)
            return copy.deepcopy(after)

    def delete_pod(self, name: str, uid: str | None = None) -> Document:
        with self.lock:
            pod = _read(self.pods, name)
            if uid not in {None, pod["metadata"]["uid"]}:
                raise ConflictError(f"the UID of {name} is {pod['metadata']['uid']}")
            self._end(name)
            return pod

    def log(self, name: str) -> str:
        pod = _read(self.pods, name)
        line = f"{name} runs {flag_of(pod)}, private_key=c2VjcmV0c2VjcmV0\n"
        return line + ("ConfigError: no such venue\n" if self._fails(pod, self.crashing) else "")

    def snapshot(self, name: str) -> Document | None:
        """What the handler in a pod answers; None while nothing listens."""
        with self.lock:
            pod = self.pods.get(name)
            if pod is None or not _has_started(pod) or self._fails(pod, self.crashing):
                return None
            ready = not self._fails(pod, self.never_ready)
            self._messages[pod["metadata"]["uid"]] += ready and name not in self.dry
            parity = {"parity": dict(self.parity)} if "shadow" in name else {}
            return parity | {
                "instance_id": name,
                "variant": "shadow" if "shadow" in name else flag_of(pod),
                "pid": 1,
                "started_at": pod["started"],
                "ready": ready,
                "healthy": ready,
                "reasons": [] if ready else ["SOL-USDC: no book"],
                "metrics": {"messages": self._messages[pod["metadata"]["uid"]], "trades": 0},
            }

    # -- for assertions

    def variants(self, set_name: str = "backpack-feed") -> dict[str, str]:
        with self.lock:
            return {
                name: flag_of(pod)
                for name, pod in sorted(self.pods.items())
                if pod["owner"] == set_name
            }

    def uids(self) -> dict[str, str]:
        with self.lock:
            return {name: pod["metadata"]["uid"] for name, pod in self.pods.items()}

    def versions(self) -> dict[str, str]:
        """The resourceVersion of every StatefulSet."""
        return {name: found["metadata"]["resourceVersion"] for name, found in self.sets.items()}

    def kill(self, name: str) -> None:
        """The node of a pod is gone, and with it the pod."""
        with self.lock:
            del self.pods[name]

    # -- controller and kubelet

    def _control(self, document: Document) -> None:
        spec, status, name = document["spec"], document["status"], document["metadata"]["name"]
        before = dict(status)
        update = status.get("updateRevision")
        if status.get("observedGeneration") != document["metadata"]["generation"]:
            update = self._revision(name, spec["template"])
        status["updateRevision"] = update
        status.setdefault("currentRevision", update)
        status["observedGeneration"] = document["metadata"]["generation"]
        owned = {n: pod for n, pod in self.pods.items() if pod["owner"] == name}
        for ordinal in range(spec["replicas"]):
            if f"{name}-{ordinal}" not in owned:
                self._make(document, ordinal)
        for pod_name in owned:
            if _ordinal(pod_name) >= spec["replicas"]:
                self._end(pod_name)
        self._roll(document, update)
        self._count(document, update)
        if status != before:
            self._store(document)

    def _roll(self, document: Document, update: str) -> None:
        spec, name = document["spec"], document["metadata"]["name"]
        partition = spec["updateStrategy"]["rollingUpdate"].get("partition", 0)
        for ordinal in range(spec["replicas"] - 1, partition - 1, -1):
            pod = self.pods[f"{name}-{ordinal}"]
            if revision_of(pod) != update and "deletionTimestamp" not in pod["metadata"]:
                self._end(f"{name}-{ordinal}")
                return
            if not is_ready(pod):
                return

    def _count(self, document: Document, update: str) -> None:
        status, name = document["status"], document["metadata"]["name"]
        owned = [pod for pod in self.pods.values() if pod["owner"] == name]
        ready = sum(is_ready(pod) for pod in owned)
        updated = sum(revision_of(pod) == update for pod in owned)
        status |= {"replicas": len(owned), "readyReplicas": ready, "updatedReplicas": updated}
        if updated == ready == document["spec"]["replicas"]:
            status["currentRevision"] = update
        self.fewest_ready[name] = min(self.fewest_ready.get(name, ready), ready)

    def _revision(self, name: str, template: Document) -> str:
        digest = hashlib.sha256(json.dumps(template, sort_keys=True).encode()).hexdigest()[:10]
        revision = f"{name}-{digest}"
        self.revisions.setdefault(
            revision,
            {
                "metadata": {"name": revision},
                "revision": len(self.revisions) + 1,
                "data": {"spec": {"template": {**copy.deepcopy(template), "$patch": "replace"}}},
            },
        )
        return revision

    def _make(self, document: Document, ordinal: int) -> None:
        spec, status, name = document["spec"], document["status"], document["metadata"]["name"]
        partition = spec["updateStrategy"]["rollingUpdate"].get("partition", 0)
        below = ordinal < partition
        revision = status["currentRevision"] if below else status["updateRevision"]
        template = copy.deepcopy(self.revisions[revision]["data"]["spec"]["template"])
        labels = {**template["metadata"]["labels"], REVISION: revision}
        self.pods[f"{name}-{ordinal}"] = {
            "metadata": {
                "name": f"{name}-{ordinal}",
                "uid": f"uid-{next(self._uids)}",
                "labels": labels,
            },
            "spec": template["spec"],
            "status": {"phase": "Pending"},
            "owner": name,
            "started": self.now + self.start_seconds,
        }

    def _end(self, name: str) -> None:
        metadata = self.pods[name]["metadata"]
        if "deletionTimestamp" not in metadata:
            self.deletions[name] += 1
            metadata["deletionTimestamp"] = "2026-01-01T00:00:00Z"
            self.pods[name]["ends"] = self.now + self.stop_seconds

    def _kubelet(self) -> None:
        for name, pod in list(self.pods.items()):
            if "ends" in pod and self.now >= pod["ends"] and name not in self.stuck:
                del self.pods[name]
            elif self.now >= pod["started"]:
                self._probe(pod)

    def _probe(self, pod: Document) -> None:
        crashed = self._fails(pod, self.crashing)
        ready = not crashed and self._serves(pod)
        started = {"startedAt": "2026-01-01T00:00:00Z"}
        state = {"waiting": {"reason": "CrashLoopBackOff"}} if crashed else {"running": started}
        container: Document = {
            "name": pod["spec"]["containers"][0]["name"],
            "image": "feed",
            "imageID": "feed",
            "ready": ready,
            "restartCount": 4 if crashed else 0,
            "state": state,
        }
        if crashed:
            container["lastState"] = {"terminated": {"exitCode": 2}}
        ready_word = "True" if ready else "False"
        pod["status"] = {
            "phase": "Running",
            "conditions": [{"type": "Ready", "status": ready_word}],
            "containerStatuses": [container],
        }

    def _serves(self, pod: Document) -> bool:
        """What the readiness probe finds."""
        return not self._fails(pod, self.never_ready)

    def _fails(self, pod: Document, table: Mapping[str, str]) -> bool:
        return table.get(pod["metadata"]["name"]) in {flag_of(pod), "any"}

    def _store(self, document: Document) -> None:
        document["metadata"]["resourceVersion"] = str(next(self._versions))
        self.sets[document["metadata"]["name"]] = document


def flag_of(pod: Document) -> str:
    """The feed a pod was made for."""
    values = {entry["name"]: entry.get("value") for entry in pod["spec"]["containers"][0]["env"]}
    return {"true": "native", "false": "ccxt", None: "ccxt"}.get(values.get(FLAG), "nonsense")


def is_ready(pod: Document) -> bool:
    """What the controller calls healthy: ready and not ending."""
    conditions = pod["status"].get("conditions", [])
    ready = any(entry["type"] == "Ready" and entry["status"] == "True" for entry in conditions)
    return ready and "deletionTimestamp" not in pod["metadata"]


def revision_of(pod: Document) -> str:
    """The revision a pod was made from."""
    return str(pod["metadata"]["labels"][REVISION])


def merged(document: Any, patch: Any) -> Any:
    """A strategic merge: null removes, lists of named entries are merged by name."""
    if isinstance(patch, Mapping):
        result = dict(document) if isinstance(document, Mapping) else {}
        for key, value in patch.items():
            if value is None:
                result.pop(key, None)
            else:
                result[key] = merged(result.get(key), value)
        return result
    if isinstance(patch, list) and patch and all("name" in entry for entry in patch):
        entries = {entry["name"]: entry for entry in document or []}
        for entry in patch:
            entries[entry["name"]] = merged(entries.get(entry["name"]), entry)
        return list(entries.values())
    return copy.deepcopy(patch)


def _has_started(pod: Document) -> bool:
    return pod["status"]["phase"] == "Running"


def _ordinal(name: str) -> int:
    return int(name.rpartition("-")[2])


def _read(table: Mapping[str, Document], name: str) -> Document:
    if name not in table:
        raise MissingError(name)
    return copy.deepcopy(table[name])
