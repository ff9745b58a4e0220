"""Where the parts of one deployment are: `deployment.yaml` in the state directory.

```yaml
prometheus_url: http://127.0.0.1:9690      # env PROMETHEUS_URL wins
journal_url: sqlite:///…/journal.db        # optional, default journal.db in the state directory
fleet: {kind: supervisor, socket: supervisor.sock, include_dir: fleet.d,
        ready_deadline_seconds: 60, max_unavailable: 5, command: [/opt/bin/backpack-feed, run]}
# or fleet: {kind: kubernetes, kubernetes: {namespace: backpack, stateful_set: backpack-feed}}
instances:
- {id: feed-00, url: "http://127.0.0.1:9601", config: fleet/feed-00.yaml}
shadow_instances: []
venue: {rest_url: "https://127.0.0.1:8600", ws_url: "wss://127.0.0.1:8600", ca_file: sandbox/ca.pem}
credentials_file: sandbox/api_key.json
airflow: {url: "http://127.0.0.1:8080", username: admin, password_file: airflow/passwords.json}
guard_url: http://127.0.0.1:9699           # optional: no migration begins unless it answers there
public: {airflow_url: "https://airflow.example.com", prometheus_url: "https://prom.example.com"}
# optional: where people's browsers reach the two, for links; env AIRFLOW_PUBLIC_URL and
# PROMETHEUS_PUBLIC_URL win; without them links lead to where programs reach them
grafana_url: http://127.0.0.1:3000/d/backpack-migration   # optional: linked wherever evidence is
owner: {name: market data, url: "https://wiki.example.com/market-data"}   # optional, of the DAGs
consumers: [risk, execution]               # optional: asked for feedback after the migration
checkout: /srv/backpack                    # optional: where references to ccxt are looked for
notifications:                             # optional, see docs/notifications.md
- {name: oncall, kind: slack, connection: slack_oncall, url_file: secrets/oncall_webhook}
```

Relative paths mean "in the state directory"; every path of a loaded `Deployment` is absolute.
Passwords are never read here: a deployment names the file, its client reads it when needed.
"""

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from feed_migration.base_urls import PublicSpec, PublicUrls, Url, public_urls, url_in
from feed_migration.document.reader import PlanError, read_document
from feed_migration.errors import DeploymentError
from feed_migration.journal_url import REMEDY, in_home, is_mistyped
from feed_migration.notices.channel import Channel, ChannelSpec, channels_of

FILE_NAME = "deployment.yaml"
MAX_BYTES = 1_048_576

_Identifier = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,62}$")]
_Label = Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9]([a-z0-9-]{0,50}[a-z0-9])?$")]
_Positive = Annotated[float, msgspec.Meta(gt=0)]


@dataclass(frozen=True, kw_only=True)
class Instance:
    """One FeedHandler process: its id, the base URL of its HTTP endpoints, its config file."""

    id: str
    url: str
    config: Path


@dataclass(frozen=True, kw_only=True)
class KubernetesSettings:
    """Which StatefulSets are the fleet, and who is asked.

    `kubeconfig` None: the service account of the pod that this process runs in. `request_seconds`
    bounds one request, `patience_seconds` the retries of one that is refused for now.
    """

    namespace: str
    stateful_set: str
    shadow_stateful_set: str
    container: str
    kubeconfig: Path | None
    context: str | None
    request_seconds: float
    patience_seconds: float


@dataclass(frozen=True, kw_only=True)
class FleetSettings:
    """How the fleet is driven. `command` is the argv before `--config FILE`.

    `socket`, `include_dir` and `command` are the supervisor's, `kubernetes` is for that kind.
    """

    kind: Literal["supervisor", "kubernetes"]
    socket: Path
    include_dir: Path
    ready_deadline_seconds: float
    max_unavailable: int
    command: tuple[str, ...]
    kubernetes: KubernetesSettings


@dataclass(frozen=True, kw_only=True)
class Venue:
    """Where the exchange is; `ca_file` only where its certificate is privately signed."""

    rest_url: str
    ws_url: str
    ca_file: Path | None


@dataclass(frozen=True, kw_only=True)
class AirflowSettings:
    """Where Airflow's REST API is and which file holds the password of `username`."""

    url: str
    username: str
    password_file: Path


@dataclass(frozen=True, kw_only=True)
class Owner:
    """Who looks after the DAGs, as Airflow shows it."""

    name: str
    url: str


@dataclass(frozen=True, kw_only=True)
class Deployment:
    """One deployment; `home` is its state directory (BACKPACK_HOME)."""

    home: Path
    prometheus_url: str
    journal_url: str
    fleet: FleetSettings
    instances: tuple[Instance, ...]
    shadow_instances: tuple[Instance, ...]
    venue: Venue
    credentials_file: Path | None
    airflow: AirflowSettings
    public: PublicUrls
    guard_url: str | None = None
    owner: Owner | None = None
    consumers: tuple[str, ...] = ()
    checkout: Path | None = None
    notifications: tuple[Channel, ...] = ()
    logs: Path = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "logs", self.home / "logs")

    @property
    def fence_file(self) -> Path:
        """The fleet's fencing epoch."""
        return self.home / "fleet" / "epoch"

    @property
    def spool_file(self) -> Path:
        """Events of a rollback that the journal could not take."""
        return self.home / "journal.spool.jsonl"

    @property
    def incidents_file(self) -> Path:
        """The runbook page that incidents are appended to."""
        return self.home / "docs" / "migrations" / "backpack_ccxt.md"

    @property
    def parity_folder(self) -> Path:
        """What the shadow processes disagreed on: a JSON file of each."""
        return self.home / "parity"

    @property
    def guard_folder(self) -> Path:
        """What the guard keeps for the day it is alone."""
        return self.home / "guard"

    def log_file(self, program: str) -> Path:
        """Log of a supervised program."""
        return self.logs / f"{program}.log"


class InstanceSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One instance as a file names it; `config` is relative to the state directory."""

    id: _Identifier
    url: Url
    config: str = ""  # default fleet/<id>.yaml; in Kubernetes the pod brings its own


class _Kubernetes(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    namespace: _Label = "backpack"
    stateful_set: _Label = "backpack-feed"
    shadow_stateful_set: _Label = "backpack-feed-shadow"
    container: _Label = "feed"
    kubeconfig: str | None = None
    context: str | None = None
    request_seconds: _Positive = 5.0
    patience_seconds: _Positive = 10.0


class _Fleet(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    kind: Literal["supervisor", "kubernetes"] = "supervisor"
    socket: str = "supervisor.sock"
    include_dir: str = "fleet.d"
    ready_deadline_seconds: _Positive = 60.0
    max_unavailable: Annotated[int, msgspec.Meta(ge=1)] = 5
    command: tuple[str, ...] = ()
    kubernetes: _Kubernetes = _Kubernetes()


class _Venue(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    rest_url: str = "https://api.backpack.exchange"
    ws_url: str = "wss://ws.backpack.exchange"
    ca_file: str | None = None


class _Airflow(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    url: Url = "http://127.0.0.1:8080"
    username: str = "admin"
    password_file: str = "airflow/passwords.json"  # noqa: S105 - a file name


class _Owner(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: Annotated[str, msgspec.Meta(min_length=1, max_length=100)]
    url: Annotated[str, msgspec.Meta(pattern=r"^(https?://[^\s@/]+\S*|mailto:\S+@\S+)$")]


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    prometheus_url: Url
    instances: Annotated[tuple[InstanceSpec, ...], msgspec.Meta(min_length=1)]
    fleet: _Fleet = _Fleet()
    shadow_instances: tuple[InstanceSpec, ...] = ()
    venue: _Venue = _Venue()
    credentials_file: str | None = None
    journal_url: str | None = None
    airflow: _Airflow = _Airflow()
    guard_url: Url | None = None
    public: PublicSpec = PublicSpec()
    grafana_url: Url | None = None
    owner: _Owner | None = None
    consumers: tuple[_Identifier, ...] = ()
    checkout: str | None = None
    notifications: tuple[ChannelSpec, ...] = ()


def home_directory(environ: Mapping[str, str] = os.environ) -> Path:
    """Return the state directory: BACKPACK_HOME, default `var` below the working directory."""
    return Path(environ.get("BACKPACK_HOME") or "var").absolute()


def load_deployment(
    home: Path, environ: Mapping[str, str] = os.environ, *, path: Path | None = None
) -> Deployment:
    """Read `home`/deployment.yaml; raises `DeploymentError` naming file and key, or variable.

    `path` is another file to read for the same home.
    """
    home = home.absolute()
    path = path or home / FILE_NAME
    file = _parse(path)
    _require_unique(path, file)
    if file.fleet.kind == "kubernetes":
        settings = file.fleet.kubernetes
        _require_pods(path, file.instances, settings.stateful_set)
        _require_pods(path, file.shadow_instances, settings.shadow_stateful_set)
    airflow_url = url_in(environ, "AIRFLOW_URL") or file.airflow.url
    prometheus_url = url_in(environ, "PROMETHEUS_URL") or file.prometheus_url
    return Deployment(
        home=home,
        prometheus_url=prometheus_url,
        journal_url=_journal_url(path, home, file.journal_url or "journal.db"),
        fleet=_fleet(home, file.fleet),
        instances=tuple(instance_of(home, entry) for entry in file.instances),
        shadow_instances=tuple(instance_of(home, entry) for entry in file.shadow_instances),
        venue=Venue(
            rest_url=file.venue.rest_url,
            ws_url=file.venue.ws_url,
            ca_file=_optional(home, file.venue.ca_file),
        ),
        credentials_file=_optional(home, file.credentials_file),
        airflow=AirflowSettings(
            url=airflow_url,
            username=environ.get("AIRFLOW_USERNAME") or file.airflow.username,
            password_file=home
            / (environ.get("AIRFLOW_PASSWORD_FILE") or file.airflow.password_file),
        ),
        guard_url=file.guard_url.rstrip("/") if file.guard_url else None,
        public=public_urls(
            file.public,
            environ,
            airflow=airflow_url,
            prometheus=prometheus_url,
            grafana=file.grafana_url,
        ),
        owner=Owner(name=file.owner.name, url=file.owner.url) if file.owner else None,
        consumers=file.consumers,
        checkout=_optional(home, file.checkout),
        notifications=channels_of(home, file.notifications),
    )


def _parse(path: Path) -> _File:
    try:
        with path.open("rb") as stream:
            raw = stream.read(MAX_BYTES + 1)
    except OSError as error:
        raise DeploymentError(
            f"{path}: cannot be read ({error.strerror})",
            "set BACKPACK_HOME to the state directory of a deployment",
        ) from error
    if len(raw) > MAX_BYTES:
        raise DeploymentError(
            f"{path}: larger than {MAX_BYTES} bytes", "this is no deployment file"
        )
    try:
        document = read_document(path, max_bytes=MAX_BYTES)
        document.check()
        return msgspec.convert(document.data, _File)
    except PlanError as error:
        # one line: of several mistakes the first one in the file
        raise DeploymentError(f"{path}:{error.problems[0]}", "correct the file") from error
    except msgspec.ValidationError as error:
        raise DeploymentError(f"{path}: {error}", "correct the key") from error


def _require_unique(path: Path, file: _File) -> None:
    named = {
        "instance": [entry.id for entry in (*file.instances, *file.shadow_instances)],
        "consumer": list(file.consumers),
        "notification channel": [channel.name for channel in file.notifications],
    }
    for what, names in named.items():
        for name in names:
            if names.count(name) > 1:
                raise DeploymentError(f"{path}: {what} {name!r} twice", "rename one of them")


def _require_pods(path: Path, entries: Sequence[InstanceSpec], stateful_set: str) -> None:
    """Instances are pods: they must be all of their StatefulSet, which counts from 0."""
    wanted = {f"{stateful_set}-{ordinal}" for ordinal in range(len(entries))}
    for entry in entries:
        if entry.id not in wanted:
            raise DeploymentError(
                f"{path}: instance {entry.id!r} is no pod of a StatefulSet {stateful_set!r} with"
                f" {len(entries)} replicas",
                f"name them {stateful_set}-0 to {stateful_set}-{len(entries) - 1}",
            )


def _fleet(home: Path, settings: _Fleet) -> FleetSettings:
    default = (str(Path(sys.executable).parent / "backpack-feed"), "run")
    return FleetSettings(
        kind=settings.kind,
        socket=home / settings.socket,
        include_dir=home / settings.include_dir,
        ready_deadline_seconds=settings.ready_deadline_seconds,
        max_unavailable=settings.max_unavailable,
        command=settings.command or default,
        kubernetes=KubernetesSettings(
            namespace=settings.kubernetes.namespace,
            stateful_set=settings.kubernetes.stateful_set,
            shadow_stateful_set=settings.kubernetes.shadow_stateful_set,
            container=settings.kubernetes.container,
            kubeconfig=_optional(home, settings.kubernetes.kubeconfig),
            context=settings.kubernetes.context,
            request_seconds=settings.kubernetes.request_seconds,
            patience_seconds=settings.kubernetes.patience_seconds,
        ),
    )


def instance_of(home: Path, entry: InstanceSpec) -> Instance:
    """Return the instance that `entry` names in the state directory `home`."""
    return Instance(
        id=entry.id,
        url=entry.url.rstrip("/"),
        config=home / (entry.config or f"fleet/{entry.id}.yaml"),
    )


def _journal_url(path: Path, home: Path, text: str) -> str:
    if is_mistyped(text):
        # not with the value: it may hold a password
        raise DeploymentError(f"{path}: journal_url: no URL, and looks like one", REMEDY)
    return in_home(home, text)


def _optional(home: Path, name: str | None) -> Path | None:
    return None if name is None else home / name
