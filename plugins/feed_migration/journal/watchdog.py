"""Cuts a Postgres connection whose server has stopped answering.

`statement_timeout` is the server's, and TCP keeps a stopped process's connection alive for ever:
neither ends the wait for a server under SIGSTOP or on a frozen host.
"""

import socket
import threading
import time
from contextlib import suppress
from typing import Any, Self

import sqlalchemy as sa


class Watchdog:
    """Shuts the watched connection's socket down `seconds` after the last `pat`."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._socket: socket.socket | None = None
        self._due = 0.0
        self._done = threading.Event()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._done.set()
        if self._socket is not None:
            self._socket.close()

    def watch(self, connection: sa.Connection) -> None:
        """Begin; a connection without a socket (SQLite) has its own limits."""
        driver: Any = connection.connection.driver_connection
        if not hasattr(driver, "pgconn"):
            return
        # a descriptor of our own: the driver may close and the system reuse its number
        self._socket = socket.fromfd(driver.pgconn.socket, socket.AF_INET, socket.SOCK_STREAM)
        self.pat()
        threading.Thread(target=self._wait, args=(self._socket,), daemon=True).start()

    def pat(self) -> None:
        """The server has answered."""
        self._due = time.monotonic() + self._seconds

    def _wait(self, connection: socket.socket) -> None:
        while not self._done.wait(max(0.0, self._due - time.monotonic())):
            if time.monotonic() >= self._due:
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
                return
