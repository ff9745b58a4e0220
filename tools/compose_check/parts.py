"""Which parts run beside those that every composed deployment has."""

from dataclasses import dataclass

# services that are run by hand; docker-compose 1.29 lists them whatever profile is on
TOOLS = frozenset({"migrate", "install-key"})


@dataclass(frozen=True)
class Parts:
    """`grafana` needs an image of it, which no Debian has."""

    celery: bool = False
    alertmanager: bool = False
    grafana: bool = False

    @property
    def files(self) -> tuple[str, ...]:
        """The files of docker-compose, in their order."""
        return "docker-compose.yaml", *(("docker-compose.celery.yaml",) if self.celery else ())

    @property
    def profiles(self) -> tuple[str, ...]:
        """The profiles that are on."""
        return "sandbox", *(("alertmanager",) if self.alertmanager else ())

    @property
    def left_out(self) -> frozenset[str]:
        """Services that do not run."""
        optional = {
            "grafana": self.grafana,
            "alertmanager": self.alertmanager,
            "airflow-worker": self.celery,
            "redis": self.celery,
        }
        return TOOLS | {name for name, runs in optional.items() if not runs}
