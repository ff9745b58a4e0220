"""Phase 0: what must hold before anything is touched. Every check runs; all failures are named."""

import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from feed_migration.errors import PreflightFailed
from feed_migration.fleet.fresh import on_another_feed
from feed_migration.fleet.shadows import shadows_already
from feed_migration.guard.answer import Healthz
from feed_migration.guard.asking import MAX_BYTES
from feed_migration.prometheus.promql import queries_of

if TYPE_CHECKING:
    from feed_migration.deployment import Deployment
    from feed_migration.fleet.base import Fleet
    from feed_migration.model import Plan
    from feed_migration.prometheus.client import PrometheusSource

RELEASE = ("backpack_feed.native.feed", "backpack_feed.incumbent.feed", "backpack_feed.toggle")
DRY_RUN_TESTS = Path("tests/integration/test_backpack_native.py")
FIXTURES = Path("tests/fixtures/backpack")
TIMEOUT_SECONDS = 5.0
PARALLEL_QUERIES = 8
MOST_NAMED = 5
# A lock is held for less
BLIND_GUARD_SECONDS = 15.0


def preflight(
    deployment: "Deployment", plan: "Plan", fleet: "Fleet", root: Path, *, fresh: bool
) -> tuple[str, ...]:
    """Return what was checked; raises PreflightFailed with every failure and its remedy.

    `fresh` asks that nothing is on the native feed and no shadow runs yet, as it must be before a
    migration.
    """
    checks: dict[str, Callable[[], Iterator[str]]] = {
        "release": _release,
        "fixtures": lambda: _fixtures(root),
        "credentials": lambda: _credentials(deployment.credentials_file),
        "prometheus": lambda: _prometheus(deployment.prometheus_url, plan),
        "guard": lambda: _guard(deployment.guard_url),
        "fleet": lambda: _fleet(fleet, fresh=fresh),
    }
    failures = [f"{name}: {problem}" for name, check in checks.items() for problem in check()]
    if failures:
        raise PreflightFailed(
            "; ".join(failures), "nothing was changed, start again when corrected"
        )
    return tuple(checks)


def _release() -> Iterator[str]:
    for module in RELEASE:
        if find_spec(module) is None:
            yield f"{module} is not in this release"


def _fixtures(root: Path) -> Iterator[str]:
    if not (root / DRY_RUN_TESTS).is_file():
        yield f"{DRY_RUN_TESTS} is not in this release"
    if not any((root / FIXTURES).glob("*")):
        yield f"{FIXTURES} is empty"


def _credentials(path: Path | None) -> Iterator[str]:
    if path is None:
        yield "deployment.yaml names no credentials_file"
    elif not path.is_file():
        yield f"{path} does not exist"
    # a group may: a Secret that Kubernetes mounts for a pod that is not root belongs to one
    elif path.stat().st_mode & 0o007:
        yield f"{path}: everybody can read it, chmod o-rwx"


def _prometheus(url: str, plan: "Plan") -> Iterator[str]:
    # not while DAGs are parsed
    from feed_migration.prometheus.client import PrometheusSource  # noqa: PLC0415

    try:
        with urllib.request.urlopen(f"{url}/-/ready", timeout=TIMEOUT_SECONDS):  # noqa: S310
            pass
    except (OSError, urllib.error.URLError, ValueError) as error:
        yield f"{url} is not ready ({error})"
    else:
        refused = [*_refused(PrometheusSource(url, TIMEOUT_SECONDS), plan)]
        yield from refused[:MOST_NAMED]
        if len(refused) > MOST_NAMED:
            yield f"{len(refused) - MOST_NAMED} more queries are refused"


def _refused(prometheus: "PrometheusSource", plan: "Plan") -> Iterator[str]:
    """Queries that this Prometheus cannot read, which a gate would be blind by once exposed."""
    places: dict[str, str] = {}
    for step in plan.steps:
        for criterion in step.gate.criteria if step.gate else ():
            for query in queries_of(criterion):
                places.setdefault(query, f"{step.name}, {criterion.name}")
    with ThreadPoolExecutor(PARALLEL_QUERIES) as pool:
        for query, said in zip(places, pool.map(prometheus.refusal, places), strict=True):
            if said:
                yield f"{places[query]}: {said}, so change the query or Prometheus"


def _guard(url: str | None) -> Iterator[str]:
    """Without one that answers and sees, nobody takes the fleet back once Airflow has died."""
    if url is None:
        return
    try:
        with urllib.request.urlopen(f"{url}/healthz", timeout=TIMEOUT_SECONDS) as answer:  # noqa: S310
            said = msgspec.json.decode(answer.read(MAX_BYTES), type=Healthz)
    except msgspec.MsgspecError as error:
        yield f"{url} is no guard ({error}), correct guard_url in deployment.yaml"
    except (OSError, urllib.error.URLError, ValueError) as error:
        yield f"{url} does not guard the fleet ({error}), start `backpack-migrate guard run`"
    else:
        if said.journal_silent_seconds > BLIND_GUARD_SECONDS:
            yield (
                f"{url} has not been able to read the journal for "
                f"{said.journal_silent_seconds:.0f} s and would not see the migration, "
                "its log says why"
            )


def _fleet(fleet: "Fleet", *, fresh: bool) -> Iterator[str]:
    statuses = fleet.instances()
    if not statuses:
        yield "no instances"
    for status in statuses:
        if not status.ready:
            yield f"{status.id} is not ready ({', '.join(status.reasons) or status.variant})"
    if fresh:
        for words in (*on_another_feed(statuses), *shadows_already(fleet)):
            yield f"{words}, run backpack_rollback"
