"""What the commands share: numbers on the command line, and requests to a running venue."""

import argparse
import http.client
import json
import socket
import ssl
import urllib.parse
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any, override

from backpack_sandbox.constants import CONTROL_NAME
from backpack_sandbox.errors import SandboxError

REQUEST_TIMEOUT_SECONDS = 10
HTTPS_PORT = 443
OK = 200


class _ControlConnection(http.client.HTTPSConnection):
    """Asks for the control name, whose certificate is good whatever fault is on."""

    @override
    def connect(self) -> None:
        raw = socket.create_connection((self.host, self.port), self.timeout)
        context: ssl.SSLContext = self._context  # type: ignore[attr-defined]
        self.sock = context.wrap_socket(raw, server_hostname=CONTROL_NAME)


def add_address(parser: argparse.ArgumentParser, *, required: bool = True) -> None:
    """The options that say which venue is meant."""
    parser.add_argument("--url", required=required, help="https://host:port of the venue")
    parser.add_argument("--ca", type=Path, required=required, help="ca.pem of its state directory")


def positive(text: str) -> float:
    """A number above 0."""
    try:
        value = float(text)
    except ValueError:
        value = 0
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"must be a number above 0, was {text!r}")
    return value


def not_negative(text: str) -> float:
    """A number of at least 0."""
    try:
        value = float(text)
    except ValueError:
        value = -1
    if not 0 <= value < float("inf"):
        raise argparse.ArgumentTypeError(f"must be a number of at least 0, was {text!r}")
    return value


def ask(options: argparse.Namespace, method: str, path: str, body: Any = None) -> Any:
    """The JSON that the venue of `options` answers; SandboxError with its reason otherwise."""
    content, _ = exchange(options, method, path, None if body is None else json.dumps(body))
    return json.loads(content)


def exchange(
    options: argparse.Namespace,
    method: str,
    path: str,
    body: str | IO[bytes] | None = None,
    *,
    timeout_seconds: float = REQUEST_TIMEOUT_SECONDS,
) -> tuple[bytes, Mapping[str, str]]:
    """Body and headers of the answer; a file is sent as it is, block by block."""
    parts = _parts(options.url)
    connection = _ControlConnection(
        parts.hostname or "",
        parts.port or HTTPS_PORT,
        timeout=timeout_seconds,
        context=_trusting(options.ca),
    )
    try:
        connection.request(method, path, body)
        answer = connection.getresponse()
        content = answer.read()
        if answer.status != OK:
            raise SandboxError(f"{path}: {_reason(content)}")
        return content, dict(answer.headers)
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise SandboxError(f"{options.url}: {error}; is the venue up, and --ca its own?") from error
    finally:
        connection.close()


def _reason(content: bytes) -> str:
    """The venue's `error`, or its whole answer, in one line."""
    text = content.decode(errors="replace")
    try:
        return str(json.loads(text)["error"])
    except (ValueError, KeyError, TypeError):
        return " ".join(text.split())


def _parts(url: str) -> urllib.parse.SplitResult:
    parts = None
    try:
        parts = urllib.parse.urlsplit(url)
        usable = parts.scheme == "https" and parts.hostname and parts.port != 0
    except ValueError:  # a bracket or a port that is none
        usable = False
    if parts is not None and (parts.path.strip("/") or parts.query or parts.fragment):
        raise SandboxError(f"--url {url}: has a path; must be https://host[:port] alone")
    if parts is None or not usable or any(c.isspace() for c in url):
        raise SandboxError(f"--url {url}: must be https://host[:port], as `serve` printed it")
    return parts


def _trusting(ca_file: Path) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=str(ca_file))
    except OSError as error:
        raise SandboxError(
            f"--ca {ca_file} cannot be read: {error.strerror or error}; give the ca.pem of the"
            " venue's --state-dir"
        ) from error
