"""The stream of a page: it ends with the server, which must not wait for every page to go."""

import socket
import subprocess
import sys
import textwrap
import time

import requests

from tests.support.conditions import eventually_sync

SERVER = textwrap.dedent(
    """
    import sys
    import uvicorn
    from fastapi import FastAPI
    from feed_migration.console.board import Board, Feeder
    from feed_migration.console.live import live_response

    board = Board(feeders=[Feeder(name="part", read=lambda: {"part": 1}, pause=lambda _: 0.05)])
    app = FastAPI()

    @app.get("/live")
    async def live():
        return live_response(board)

    # as Airflow runs it, which gives open connections two minutes
    uvicorn.run(app, fd=int(sys.argv[1]), log_level="error", timeout_graceful_shutdown=120)
    """
)
STOP_SECONDS = 10.0


def test_a_server_with_an_open_page_stops_at_once():
    """Each deploy restarts the api-server; open consoles must not keep it for two minutes."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/live"
        server = subprocess.Popen(
            [sys.executable, "-c", SERVER, str(listener.fileno())], pass_fds=[listener.fileno()]
        )
    try:
        answer = eventually_sync(lambda: opened(url), timeout_seconds=30)
        lines = answer.iter_lines(decode_unicode=True)
        eventually_sync(lambda: next(lines).startswith("event: part"))
        began = time.monotonic()
        server.terminate()
        assert server.wait(STOP_SECONDS + 20) is not None
        assert time.monotonic() - began < STOP_SECONDS
        answer.close()
    finally:
        server.kill()
        server.wait()


def opened(url: str) -> requests.Response | None:
    try:
        return requests.get(url, stream=True, timeout=20)
    except requests.ConnectionError:
        return None
