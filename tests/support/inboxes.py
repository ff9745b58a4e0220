"""Where notices arrive: an HTTP and a mail server on loopback, well-behaved or hostile."""

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from email import message_from_bytes, policy
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from aiosmtpd.controller import Controller


class WebInbox:
    """`bodies` are the JSON objects that were taken, `paths` every request's path.

    `status` is what the next requests get; while `hangs` is set they get nothing at all, and with
    `slow_seconds` their answer takes so long.
    """

    def __init__(self) -> None:
        self.url = ""
        self.status = 200
        self.slow_seconds = 0.0
        self.hangs = threading.Event()
        self.bodies: list[dict[str, Any]] = []
        self.paths: list[str] = []
        self.headers: list[dict[str, str]] = []
        self.ended = threading.Event()

    @property
    def texts(self) -> list[str]:
        return [body["text"] for body in self.bodies]

    def kinds(self) -> list[str]:
        return [body["kind"] for body in self.bodies]


@contextmanager
def web_inbox() -> Iterator[WebInbox]:
    """Yield a `WebInbox` that listens."""
    inbox = WebInbox()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            inbox.paths.append(self.path)
            inbox.headers.append(dict(self.headers))
            if inbox.hangs.is_set():
                inbox.ended.wait(60)
                return
            if inbox.ended.wait(inbox.slow_seconds):
                return
            status = inbox.status
            if status == 200:
                inbox.bodies.append(body)
            # a hostile server says back what it was sent
            told = b"ok" if status == 200 else f"{self.path} {self.headers}".encode()
            self.send_response(status)
            if 300 <= status < 400:
                self.send_header("Location", f"{inbox.url}/elsewhere")
            self.send_header("Content-Length", str(len(told)))
            self.end_headers()
            self.wfile.write(told)

        def log_message(self, *arguments: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    inbox.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield inbox
    finally:
        inbox.ended.set()
        server.shutdown()
        thread.join()
        server.server_close()


class MailInbox:
    """`mails` are the messages that were taken."""

    def __init__(self) -> None:
        self.mails: list[EmailMessage] = []
        self.port = 0

    @property
    def subjects(self) -> list[str]:
        return [str(mail["Subject"]) for mail in self.mails]

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        mail = message_from_bytes(envelope.content, policy=policy.default)
        assert isinstance(mail, EmailMessage)
        self.mails.append(mail)
        return "250 OK"


@contextmanager
def mail_inbox() -> Iterator[MailInbox]:
    """Yield a `MailInbox` that listens."""
    inbox = MailInbox()
    with socket.create_server(("127.0.0.1", 0)) as probe:
        inbox.port = probe.getsockname()[1]
    controller = Controller(inbox, hostname="127.0.0.1", port=inbox.port)
    controller.start()
    try:
        yield inbox
    finally:
        controller.stop()
