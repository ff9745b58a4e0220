"""Where the embedded deployment keeps its files and which ports it takes."""

import socket
from dataclasses import dataclass, field
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
DEFAULT_PORT_BASE = 18600
FLEET_SIZE = 10
SHADOW_SIZE = 2
FIRST_PORT, LAST_PORT = 1024, 65535
SPARE_PORTS = 10
MARKER = ".made-by-demo"


class DemoError(Exception):
    """The demo cannot go on; the message says why and what to do, in one line."""


@dataclass(frozen=True)
class Layout:
    """Paths below `home` and ports from `port_base` on, all on 127.0.0.1."""

    home: Path
    port_base: int = DEFAULT_PORT_BASE
    fleet_size: int = FLEET_SIZE
    shadow_size: int = SHADOW_SIZE
    venv_bin: Path = field(default=REPOSITORY / ".venv" / "bin")

    @property
    def sandbox_port(self) -> int:
        """Port of the venue, REST and websocket alike."""
        return self.port_base

    @property
    def prometheus_port(self) -> int:
        """Port of Prometheus."""
        return self.port_base + 1

    @property
    def airflow_port(self) -> int:
        """Port of Airflow's UI and API."""
        return self.port_base + 2

    @property
    def guard_port(self) -> int:
        """Port of the guard's /healthz and /metrics."""
        return self.port_base + 3

    @property
    def instances(self) -> dict[str, int]:
        """Fleet instance id → port of its /metrics, /healthz and /snapshot."""
        return {f"feed-{i:02}": self.port_base + 10 + i for i in range(self.fleet_size)}

    @property
    def shadow_instances(self) -> dict[str, int]:
        """Shadow instance id → port."""
        first = self.port_base + 10 + self.fleet_size
        return {f"shadow-{i:02}": first + i for i in range(self.shadow_size)}

    @property
    def ports(self) -> dict[str, int]:
        """Every port with the part that listens on it."""
        return {
            "the sandbox": self.sandbox_port,
            "Prometheus": self.prometheus_port,
            "Airflow": self.airflow_port,
            "the guard": self.guard_port,
            **self.instances,
            **self.shadow_instances,
        }

    @property
    def supervisor_socket(self) -> Path:
        """Unix socket of supervisord's XML-RPC."""
        return self.home / "supervisor.sock"

    @property
    def ca_file(self) -> Path:
        """Certificate authority of the sandbox."""
        return self.home / "sandbox" / "ca.pem"

    @property
    def credentials_file(self) -> Path:
        """API key that the sandbox knows."""
        return self.home / "sandbox" / "api_key.json"

    @property
    def rest_url(self) -> str:
        """Base URL of the sandbox's REST API."""
        return f"https://127.0.0.1:{self.sandbox_port}"

    @property
    def websocket_url(self) -> str:
        """URL of the sandbox's websocket."""
        return f"wss://127.0.0.1:{self.sandbox_port}"

    @property
    def prometheus_url(self) -> str:
        """Base URL of Prometheus."""
        return f"http://127.0.0.1:{self.prometheus_port}"

    @property
    def guard_url(self) -> str:
        """Base URL of the guard."""
        return f"http://127.0.0.1:{self.guard_port}"

    @property
    def airflow_url(self) -> str:
        """Base URL of Airflow."""
        return f"http://127.0.0.1:{self.airflow_port}"


def ports_in_use(layout: Layout) -> dict[str, int]:
    """Return the parts whose port somebody else listens on."""
    return {part: port for part, port in layout.ports.items() if _in_use(port)}


def require_free_ports(layout: Layout) -> None:
    """Raise DemoError naming the first port that is taken or does not exist."""
    if not FIRST_PORT <= layout.port_base <= LAST_PORT - len(layout.ports) - SPARE_PORTS:
        raise DemoError(f"PORT_BASE is {layout.port_base}: choose one from 1024 to 65000")
    for part, port in ports_in_use(layout).items():
        raise DemoError(
            f"port {port} ({part}) is in use: stop what listens there, "
            f"or choose others with PORT_BASE={layout.port_base + 1000}"
        )


def free_port_base(count: int = 40, start: int = 21000, stop: int = 31000) -> int:
    """Return a base from which `count` consecutive ports are free; for tests."""
    for base in range(start, stop, count):
        if not any(_in_use(port) for port in range(base, base + count)):
            return base
    raise DemoError(f"no {count} consecutive free ports between {start} and {stop}")


def _in_use(port: int) -> bool:
    with socket.socket() as probe:
        # connections of a stack that just ended linger in TIME_WAIT; they hold no port
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return True
    return False
