"""A pager for the check: takes what Alertmanager tells Slack, a line for each, and answers 200.

It runs in the guard's container, whose image has this file: `python -m tools.compose_check.pager`.
"""

import http.server
import json
from pathlib import Path

PORT = 9700
TOLD = Path("/tmp/told")  # noqa: S108 - the container's own


def serving(port: int, told: Path, host: str = "") -> http.server.HTTPServer:
    """Return a server that adds `{"path", "titles"}` of every message to `told`."""

    class Pager(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            message = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            titles = [one.get("title") for one in message.get("attachments", ())]
            with told.open("a") as file:
                file.write(json.dumps({"path": self.path, "titles": titles}) + "\n")
            self.send_response(http.HTTPStatus.OK)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_arguments: object) -> None:
            """Say nothing: the path is the pager's secret."""

    return http.server.HTTPServer((host, port), Pager)


def titles(text: str, path: str) -> list[str]:
    """Return what was told at `path`, in its order."""
    messages = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
    return [title for one in messages if one["path"] == path for title in one["titles"]]


if __name__ == "__main__":
    serving(PORT, TOLD).serve_forever()
