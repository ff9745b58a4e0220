"""A real feed process below a real supervisord that is killed outright."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import aiohttp
import psutil
import pytest

from backpack_feed.process.supervised import end_with_supervisor
from backpack_feed.refusal import Refusal
from backpack_sandbox import Sandbox, SandboxConfig
from tests.support.conditions import eventually, eventually_sync
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


def test_a_feed_that_starts_between_two_supervisords_does_not_go_on(tmp_path):
    """The next one takes the stale socket away and waits 0.3 s before it makes its own."""
    environ = {"SUPERVISOR_ENABLED": "1", "SUPERVISOR_SERVER_URL": f"unix://{tmp_path}/gone.sock"}
    with pytest.raises(Refusal, match="supervisord died"):
        end_with_supervisor(environ)


LISTENS = """
import socket, sys
with socket.socket(socket.AF_UNIX) as listener:
    listener.bind(sys.argv[1])
    listener.listen()
    print("listens", flush=True)
    sys.stdin.read()
"""


def test_a_feed_whose_supervisord_was_replaced_before_it_looked_does_not_start(
    tmp_path, monkeypatch
):
    """The next one listens at the same socket, and has a feed of its own there."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "supervisord.py").write_text(LISTENS)
    environ = {"SUPERVISOR_ENABLED": "1", "SUPERVISOR_SERVER_URL": "unix://next.sock"}
    command = [sys.executable, "supervisord.py", "next.sock"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout.readline()
        with pytest.raises(Refusal, match="supervisord died"):
            end_with_supervisor(environ)
        other.stdin.close()


STARTS = """
import time
from backpack_feed.process.supervised import end_with_supervisor
end_with_supervisor()
print("up", flush=True)
time.sleep(99)
"""


@pytest.mark.parametrize("script", [False, True], ids=["itself", "by a script"])
@pytest.mark.parametrize("daemon", [False, True], ids=["foreground", "daemon"])
def test_a_feed_of_a_supervisord_that_lives_starts(tmp_path, daemon, script):
    """One in the foreground, and one that became a daemon; also when its socket was cleaned up."""
    (tmp_path / "feed.py").write_text(STARTS)
    command = f"{sys.executable} {tmp_path}/feed.py"
    (tmp_path / "run.sh").write_text(f"trap 'kill $!' TERM; {command} & wait\n")
    (tmp_path / "fleet.d").mkdir()
    (tmp_path / "fleet.d" / "one.conf").write_text(
        f"[program:one]\ncommand = {f'sh {tmp_path}/run.sh' if script else command}\n"
        f"stdout_logfile = {tmp_path}/one.log\nredirect_stderr = true\n"
    )
    started = start_supervisord(tmp_path)
    if daemon:
        started.terminate()
        started.wait(timeout=20)
        (tmp_path / "one.log").unlink(missing_ok=True)
        path = tmp_path / "supervisord.conf"
        path.write_text(path.read_text().replace("nodaemon = true", "nodaemon = false"))
        command = [Path(sys.executable).parent / "supervisord", "-c", path]
        subprocess.run(command, check=True, timeout=60)
    try:
        log = tmp_path / "one.log"
        eventually_sync(lambda: log.exists() and log.read_text() == "up\n")
        (tmp_path / "supervisor.sock").unlink()
        pid = int((tmp_path / "supervisord.pid").read_text())
        for one in psutil.Process(pid).children(recursive=True):
            one.kill()
        eventually_sync(lambda: log.read_text() == "up\nup\n")
    finally:
        os.kill(int((tmp_path / "supervisord.pid").read_text()), signal.SIGTERM)
        if not daemon:
            started.wait(timeout=20)
    eventually_sync(lambda: not (tmp_path / "supervisord.pid").exists())


def test_a_feed_that_nobody_supervises_starts():
    """By hand, in a container, below systemd."""
    end_with_supervisor({})
