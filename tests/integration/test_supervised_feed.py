"""A real feed process below a real supervisord that is killed outright."""

import os
import signal
import socket
import sys
import tempfile
from pathlib import Path

import aiohttp
import pytest

from backpack_feed.process.supervised import end_with_supervisor
from backpack_feed.refusal import Refusal
from backpack_sandbox import Sandbox, SandboxConfig
from tests.support.conditions import eventually
from tests.support.handler_process import FLAG, write_config
from tests.support.supervised_fleet import free_ports, start_supervisord


async def ready(port):
    """What a feed says of itself once it is ready."""

    async def said():
        async with aiohttp.ClientSession() as session:
            try:
                async with session.get(f"http://127.0.0.1:{port}/snapshot") as answer:
                    body = await answer.json()
            except aiohttp.ClientError:
                return None
        return body if body["ready"] else None

    return await eventually(said, 20)


def write_program(home, config, *, native):
    """The program's section of supervisord's configuration."""
    (home / "fleet.d").mkdir(exist_ok=True)
    command = Path(sys.executable).parent / "backpack-feed"
    (home / "fleet.d" / "feed-00.conf").write_text(
        f"[program:feed-00]\ncommand = {command} run --config {config}\n"
        f'environment = {FLAG}="{str(native).lower()}"\n'
    )


def is_gone(pid):
    """Nobody has the pid, or what had it is only not yet waited for."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


async def test_a_feed_does_not_outlive_its_supervisord():
    """It ends by itself; the next supervisord starts its successor on the other feed at once."""
    with tempfile.TemporaryDirectory(prefix="orphan-") as folder:
        home = Path(folder)
        (port,) = free_ports(1)
        async with Sandbox(SandboxConfig(state_dir=home / "venue")) as venue:
            metrics = {"host": "127.0.0.1", "port": port}
            config = write_config(home, venue, ["SOL-USDC"], metrics=metrics)
            write_program(home, config, native=True)
            supervisord = start_supervisord(home)
            first = await ready(port)
            supervisord.kill()
            supervisord.wait()
            try:
                await eventually(lambda: is_gone(first["pid"]), 10)
                write_program(home, config, native=False)
                supervisord = start_supervisord(home)
                assert (await ready(port))["variant"] == "ccxt"
            finally:
                supervisord.terminate()
                supervisord.wait(timeout=20)
                if not is_gone(first["pid"]):
                    os.kill(first["pid"], signal.SIGKILL)


def test_a_feed_whose_supervisord_died_before_it_looked_does_not_start(tmp_path, monkeypatch):
    """A socket that nobody listens at any more: there is nobody to end this process."""
    monkeypatch.chdir(tmp_path)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("dead.sock")
    environ = {"SUPERVISOR_ENABLED": "1", "SUPERVISOR_SERVER_URL": "unix://dead.sock"}
    with pytest.raises(Refusal, match="supervisord"):
        end_with_supervisor(environ)


def test_a_feed_that_nobody_supervises_starts():
    """By hand, in a container, below systemd."""
    end_with_supervisor({})
