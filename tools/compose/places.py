"""Where a composed deployment keeps its files, and under which names its services answer.

docker-compose.yaml mounts these paths; a test holds both together.
"""

from dataclasses import dataclass
from pathlib import Path

FIRST_PORT = 9601
FIRST_SHADOW_PORT = 9651
MAX_INSTANCES = FIRST_SHADOW_PORT - FIRST_PORT

PROMETHEUS_URL = "http://prometheus:9090"
GUARD_URL = "http://guard:9699"
AIRFLOW_URL = "http://airflow-api-server:8080"
ALERTMANAGER_URL = "http://alertmanager:9093"
SANDBOX_REST_URL = "https://sandbox:8600"
SANDBOX_WS_URL = "wss://sandbox:8600"
POSTGRES_HOST = "postgres"
FLEET_HOST = "fleet"
FEED_COMMAND = ("/opt/venv/bin/backpack-feed", "run")


class ComposeError(Exception):
    """The deployment cannot be laid out; the message says why and what to do, in one line."""


@dataclass(frozen=True, kw_only=True)
class Places:
    """The volumes as they are mounted; `root` is where a test puts them."""

    root: Path = Path("/var/lib")

    @property
    def home(self) -> Path:
        """BACKPACK_HOME."""
        return self.root / "backpack"

    @property
    def programs(self) -> Path:
        """What supervisord includes; below `fleet`, which the fleet's container only reads."""
        return self.home / "fleet" / "programs"

    @property
    def control(self) -> Path:
        """Secrets of the control plane, and the audit's keys; not mounted in the fleet."""
        return self.root / "backpack-control"

    @property
    def credentials(self) -> Path:
        """The venue's API key, and its authority where that is a private one."""
        return self.root / "backpack-credentials"

    @property
    def feed(self) -> Path:
        """The fleet's own: supervisord's socket and the tapes."""
        return self.root / "backpack-feed"

    @property
    def targets(self) -> Path:
        """What Prometheus scrapes."""
        return self.root / "backpack-targets"

    @property
    def alertmanagers(self) -> Path:
        """Whom Prometheus tells of alerts, as its discovery reads it."""
        return self.targets / "alertmanagers" / "alertmanagers.json"

    @property
    def pager(self) -> Path:
        """The secret by which Alertmanager wakes somebody; nothing else is in its volume."""
        return self.root / "backpack-alerting" / "pager"

    @property
    def sandbox(self) -> Path:
        """State directory of the sandbox, for its key and its authority."""
        return self.root / "backpack-sandbox"

    @property
    def api_key(self) -> Path:
        """`{"api_key", "private_key"}` of the venue."""
        return self.credentials / "api_key.json"

    @property
    def ca_file(self) -> Path:
        """Authority of the sandbox, as the fleet and Airflow read it."""
        return self.credentials / "ca.pem"

    @property
    def pgpass(self) -> Path:
        """The password file of libpq."""
        return self.control / "pgpass"

    @property
    def airflow_passwords(self) -> Path:
        """`{user: password}` of Airflow's SimpleAuthManager."""
        return self.control / "passwords.json"


def ports(prefix: str, first: int, count: int) -> dict[str, int]:
    """Return instance id → port."""
    return {f"{prefix}-{number:02}": first + number for number in range(count)}
