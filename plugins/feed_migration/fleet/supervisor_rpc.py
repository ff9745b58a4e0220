"""supervisord's XML-RPC over its unix socket, with timeouts and typed errors."""

import http.client
import socket
import xmlrpc.client
from pathlib import Path
from typing import Any, cast

from supervisor.xmlrpc import Faults, SupervisorTransport

from feed_migration.errors import FleetUnavailable, InstanceStuck

TIMEOUT_SECONDS = 10.0
RUNNING = frozenset({"STARTING", "RUNNING", "BACKOFF"})
STOPPED = frozenset({"STOPPED", "EXITED", "FATAL", "UNKNOWN"})


class SupervisorRpc:
    """The few calls a fleet needs; each program is the only one of its process group.

    Raises `FleetUnavailable` when supervisord does not answer, `InstanceStuck` when it refuses.
    """

    def __init__(self, socket_path: Path, timeout_seconds: float = TIMEOUT_SECONDS) -> None:
        self.socket_path = socket_path
        self._timeout_seconds = timeout_seconds

    def states(self) -> dict[str, str]:
        """Return program name → state (RUNNING, BACKOFF, FATAL …)."""
        infos = cast("list[dict[str, Any]]", self._call("getAllProcessInfo"))
        return {str(info["name"]): str(info["statename"]) for info in infos}

    def reload(self) -> tuple[frozenset[str], frozenset[str], frozenset[str]]:
        """Read the configuration files again; returns added, changed and removed groups."""
        [[added, changed, removed]] = cast("list[list[list[str]]]", self._call("reloadConfig"))
        return frozenset(added), frozenset(changed), frozenset(removed)

    def stop(self, name: str) -> bool:
        """Send the stop signal and return at once whether it went to any program that was up."""
        tolerate = (Faults.BAD_NAME, Faults.NOT_RUNNING)
        return bool(self._call("stopProcessGroup", name, False, tolerate=tolerate))

    def remind(self, name: str) -> None:
        """Send the stop signal again.

        supervisord can signal a child it has just forked and not yet replaced by the program: that
        signal is lost, and only SIGKILL after `stopwaitsecs` would end it.
        """
        self._call(
            "signalProcess",
            f"{name}:{name}",
            "TERM",
            tolerate=(Faults.BAD_NAME, Faults.NOT_RUNNING),
        )

    def start(self, name: str) -> None:
        """Start without waiting; what fails to start is retried by supervisord."""
        retried = (Faults.ALREADY_STARTED, Faults.SPAWN_ERROR, Faults.ABNORMAL_TERMINATION)
        self._call("startProcess", f"{name}:{name}", False, tolerate=retried)

    def remove(self, name: str) -> None:
        """Forget a stopped group."""
        self._call("removeProcessGroup", name, tolerate=(Faults.BAD_NAME,))

    def add(self, name: str) -> None:
        """Take a group from the configuration files, which starts it."""
        self._call("addProcessGroup", name, tolerate=(Faults.ALREADY_ADDED,))

    def _call(self, method: str, *arguments: object, tolerate: tuple[int, ...] = ()) -> object:
        transport = SupervisorTransport(None, None, f"unix://{self.socket_path}")
        # its own connection would wait for ever for a supervisord that is stopped
        transport._get_connection = lambda: _UnixConnection(  # noqa: SLF001
            self.socket_path, self._timeout_seconds
        )
        try:
            with xmlrpc.client.ServerProxy("http://127.0.0.1", transport=transport) as proxy:
                return getattr(proxy.supervisor, method)(*arguments)
        except xmlrpc.client.Fault as fault:
            if fault.faultCode in tolerate:
                return None
            raise InstanceStuck(
                f"supervisord refused {method}{arguments}: {fault.faultString}",
                "read supervisord.log in the state directory",
            ) from fault
        except (OSError, http.client.HTTPException, xmlrpc.client.Error) as error:
            raise FleetUnavailable(
                f"supervisord at {self.socket_path} does not answer ({error})",
                "start it; the fleet then comes up as its files in fleet.d say",
            ) from error


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path, timeout_seconds: float) -> None:
        super().__init__("localhost", timeout=timeout_seconds)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))
