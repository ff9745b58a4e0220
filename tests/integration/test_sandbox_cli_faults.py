"""The command line's faults, nasty inputs and scenarios, against a venue in this process."""

import asyncio
import json
import subprocess
import sys

import pytest

from backpack_sandbox.cli import main
from tests.support.conditions import eventually
from tests.support.sandbox_client import running_venue, wire_client

WITHOUT = """\
import importlib.abc, sys

class Absent(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name == "trustme":
            raise ModuleNotFoundError("No module named 'trustme'", name=name)

sys.meta_path.insert(0, Absent())
from backpack_sandbox.cli import main
sys.exit(main(sys.argv[1:]))
"""


@pytest.fixture
async def venue(tmp_path):
    async with running_venue(tmp_path) as venue:
        yield venue


@pytest.fixture
def command(venue, capsys):
    """Run a command against the venue: (exit, stdout, stderr)."""

    async def run(*arguments: str) -> tuple[int, str, str]:
        address = ["--url", venue.rest_url, "--ca", str(venue.ca_file)]
        code = await asyncio.to_thread(main, [*arguments, *address])
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


async def test_a_fault_takes_its_own_parameters(venue, command):
    """As options that are read off the catalogue."""
    arguments = ["fault", "delay", "--delay-ms", "50", "--stream", "depth.*", "--start-after", "60"]
    assert (await command(*arguments))[0] == 0
    (fault,) = venue.faults.waiting()
    assert fault.order.parameters == {"delay_ms": 50}
    assert fault.order.streams == ["depth.*"]
    _, listed, _ = await command("fault", "--list")
    assert json.loads(listed)["delay_ms"] == 50
    assert 0 < json.loads(listed)["begins_in_seconds"] <= 60
    assert json.loads(listed)["ends_in_seconds"] is None
    await command("fault", "--clear")
    assert venue.faults.waiting() == ()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["delay", "--delay-ms", "soon"], "delay_ms was 'soon', must be a number from 0"),
        (["malformed", "--how", "loud"], "how was 'loud', must be one of any, truncated"),
        (["gap", "--delay-ms", "5"], "gap has no delay_ms, only delay has"),
        (["key_revoked", "--share", "0.5"], "key_revoked has no share"),
    ],
)
async def test_a_wrong_parameter_is_one_line(command, arguments, says):
    """It names the key and what it must be."""
    code, _, error = await command("fault", *arguments)
    assert code == 2
    assert says in error
    assert error.count("\n") == 1


async def test_an_expired_certificate_does_not_lock_out_the_command_line(venue, command):
    """It ends what it began."""
    assert (await command("fault", "cert_expired"))[0] == 0
    assert (await command("fault", "--clear"))[0] == 0
    assert venue.faults.active() == ()


async def test_nasty_inputs_are_sent_by_name(venue, command):
    """To the sockets that are subscribed."""
    async with wire_client(venue) as client:
        await client.subscribe("trade.SOL_USDC")
        await client.drain()
        _, said, _ = await command("nasty", "error_4006", "--user-agent", "tests*")
        assert json.loads(said) == {"sockets": 1, "answers": 0}
        assert '"code":4006' in await client.receive()


async def test_scenarios_are_listed_shown_checked_and_played(venue, command, capsys, tmp_path):
    """By name and by file."""
    file = tmp_path / "mine.yaml"
    file.write_text(
        "name: mine\nstory: one\nsteps: [{at: 0.2, fault: gap, duration_seconds: 1}]\n"
        "expect: {within_seconds: 1}\n"
    )
    assert main(["scenario", "list"]) == main(["scenario", "check"]) == 0
    assert "lost_deltas: " in capsys.readouterr().out
    assert main(["scenario", "show", str(file)]) == 0
    assert json.loads(capsys.readouterr().out)["expect"]["books"] == "equal"
    code, said, _ = await command("scenario", "run", str(file), "--speed", "10", "--wait")
    assert code == 0
    first, last = map(json.loads, said.splitlines())
    assert first["playing"] == "mine"
    assert last == {"playing": None, "last": "mine", "id": 1, "ended": "over"}
    assert venue.scenarios.status() == last
    await command("scenario", "run", "lost_deltas")
    await eventually(lambda: venue.scenarios.status()["step"] == 1)
    assert json.loads((await command("scenario", "stop"))[1])["last"] == "lost_deltas"


async def test_waiting_for_a_scenario_that_somebody_stops_is_exit_1(venue, command):
    """The last line says how it ended."""
    waiting = asyncio.create_task(command("scenario", "run", "lost_deltas", "--wait"))
    await eventually(lambda: venue.scenarios.status()["playing"])
    await venue.scenarios.stop()
    code, said, _ = await waiting
    assert code == 1
    assert json.loads(said.splitlines()[-1])["ended"] == "stopped"


async def test_ctrl_c_leaves_the_story_and_is_exit_130(venue, command, monkeypatch):
    """Without a traceback."""

    def interrupted(_seconds):
        raise KeyboardInterrupt

    monkeypatch.setattr("backpack_sandbox.cli_scenario.time.sleep", interrupted)
    code, _, error = await command("scenario", "run", "lost_deltas", "--wait")
    assert (code, error) == (130, "")
    assert venue.scenarios.status()["playing"] == "lost_deltas"


async def test_the_market_is_paused_and_resumed_by_command(venue, command):
    """The sockets stay open."""
    for order, paused in (("resume", False), ("pause", True)):
        assert json.loads((await command("market", order))[1]) == {"paused": paused}
        assert venue.driver.paused is paused


def test_every_scenario_file_is_checked(capsys, tmp_path):
    """Each bad one has its line, and the good one its own."""
    (tmp_path / "bad.yaml").write_text("name: 5")
    (tmp_path / "good.yaml").write_text(
        "name: good\nstory: one\nsteps: [{at: 0, fault: gap}]\nexpect: {within_seconds: 1}\n"
    )
    files = [str(tmp_path / name) for name in ("bad.yaml", "no.yaml", "good.yaml")]
    assert main(["scenario", "check", *files]) == 2
    said = capsys.readouterr()
    assert said.out == f"{files[2]}: 1 step, 0 s\n"
    assert said.err.count("\n") == 2


def test_a_file_that_is_no_scenario_is_one_line(capsys, tmp_path):
    """With its place."""
    file = tmp_path / "bad.yaml"
    file.write_text("name: bad\nstory: none\nsteps:\n  - {at: 1, fault: gup}\nexpect: {}\n")
    assert main(["scenario", "check", str(file)]) == 2
    error = capsys.readouterr().err
    assert f"{file}:5: expect: Object missing required field `within_seconds`" in error
    assert error.count("\n") == 1


def test_without_the_extra_serve_says_what_to_install(tmp_path):
    """One line; the commands to a running venue do without."""
    serve = [sys.executable, "-c", WITHOUT, "serve", "--state-dir", str(tmp_path), "--port", "0"]
    refused = subprocess.run(serve, capture_output=True, text=True, timeout=30, check=False)
    assert refused.returncode == 2
    assert "trustme is not installed: pip install 'backpack-migration[sandbox]'" in refused.stderr
    assert refused.stderr.count("\n") == 1
    listed = [sys.executable, "-c", WITHOUT, "scenario", "list"]
    assert subprocess.run(listed, capture_output=True, timeout=30, check=False).returncode == 0
