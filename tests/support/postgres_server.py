"""A real PostgreSQL on a free port of loopback, run by a user that is not root."""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path

import psycopg

from tests.support.conditions import eventually_sync
from tests.support.prometheus_server import free_port

# Debian keeps the programs of each version out of PATH
_PATH = os.pathsep.join(
    [os.environ.get("PATH", ""), *map(str, sorted(Path("/usr/lib/postgresql").glob("*/bin")))]
)
OWNER = "owner"


class PostgresServer:
    """One cluster in `directory`; `stop`, `freeze` and `thaw` do to it what happens to databases."""

    def __init__(self, directory: Path, *, durable: bool = False) -> None:
        self.port = free_port()
        self._directory = directory
        self._durable = durable
        self._names = count(1)
        self._process: subprocess.Popen[bytes] | None = None

    def create(self) -> None:
        """Make the cluster."""
        initdb = _program("initdb")
        owner = _user()
        self._directory.mkdir(parents=True, exist_ok=True)
        if owner:
            shutil.chown(self._directory, owner)
        subprocess.run(
            [initdb, "--no-sync", "--auth=trust", f"--username={OWNER}", "-D", self._data],
            check=True,
            user=owner,
            capture_output=True,
            cwd=self._directory,
        )

    def start(self) -> None:
        """Start it, and wait until it answers."""
        safety = "on" if self._durable else "off"
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": self.port,
            "unix_socket_directories": "",
            "fsync": safety,
            "full_page_writes": safety,
            "shared_buffers": "32MB",
        }
        arguments = [word for item in settings.items() for word in ("-c", "{}={}".format(*item))]
        with (self._directory.parent / f"{self._directory.name}.log").open("ab") as log:
            self._process = subprocess.Popen(
                [_program("postgres"), "-D", self._data, *arguments],
                user=_user(),
                stdout=log,
                stderr=log,
                cwd=self._directory,
                start_new_session=True,
            )
        eventually_sync(self._answers, 30)

    def stop(self) -> None:
        """End it at once, as `pg_ctl stop -m immediate` does."""
        if self._process is not None:
            self.thaw()
            self._process.send_signal(signal.SIGQUIT)
            self._process.wait()
            self._process = None

    def freeze(self) -> None:
        """SIGSTOP to the server and to every process of it."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        self._signal(signal.SIGCONT)

    def url(self, schema: str = "public", user: str = OWNER) -> str:
        """The SQLAlchemy URL of a schema."""
        place = f"127.0.0.1:{self.port}/postgres?options=-csearch_path%3D{schema}"
        return f"postgresql+psycopg://{user}@{place}"

    def new_schema(self) -> str:
        """Make an empty schema and return its name; a database each would be 8 MB."""
        name = f"journal_{next(self._names)}"
        self.sql(f"CREATE SCHEMA {name}")
        return name

    def sql(self, *statements: str, user: str = OWNER) -> None:
        """Run statements, each in a transaction of its own."""
        with self.connect(user=user) as connection:
            for statement in statements:
                connection.execute(statement.encode())

    def connect(self, schema: str = "public", user: str = OWNER) -> psycopg.Connection:
        """A connection of a neighbour that is no journal."""
        return psycopg.connect(
            host="127.0.0.1",
            port=self.port,
            user=user,
            dbname="postgres",
            options=f"-csearch_path={schema}",
            autocommit=True,
            connect_timeout=10,
        )

    @property
    def _data(self) -> Path:
        return self._directory / "data"

    def _answers(self) -> bool:
        try:
            self.connect().close()
        except psycopg.OperationalError:
            return False
        return True

    def _signal(self, number: signal.Signals) -> None:
        assert self._process
        # each backend leads a process group of its own
        children = subprocess.run(
            ["ps", "-o", "pid=", "--ppid", str(self._process.pid)],
            capture_output=True,
            text=True,
            check=False,
        )
        for pid in [self._process.pid, *map(int, children.stdout.split())]:
            # a backend may end while it is looked for
            with suppress(ProcessLookupError):
                os.kill(pid, number)


@contextmanager
def postgres_server(*, durable: bool = False) -> Iterator[PostgresServer]:
    """A running server on a fresh cluster; `durable` with fsync, as in production."""
    # not under pytest's tmp_path, which only its own user may enter
    with tempfile.TemporaryDirectory(prefix="postgres-") as directory:
        Path(directory).chmod(0o755)
        server = PostgresServer(Path(directory) / "cluster", durable=durable)
        server.create()
        try:
            server.start()
            yield server
        finally:
            server.stop()


def _program(name: str) -> str:
    program = shutil.which(name, path=_PATH)
    assert program, f"{name} is missing: run tools/setup.sh"
    return program


def _user() -> str | None:
    """Whom PostgreSQL runs as: it refuses root."""
    if os.geteuid() != 0:
        return None
    known = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in known else "nobody"
