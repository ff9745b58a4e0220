"""`backpack-sandbox scenario list|show|check|run|stop`."""

import argparse
import json
import sys
import time
from pathlib import Path

import msgspec

from backpack_sandbox.cli_common import add_address, ask, positive
from backpack_sandbox.errors import SandboxError
from backpack_sandbox.faults.scenario import SUFFIX, find_scenario, scenario_names
from backpack_sandbox.words import counted

POLL_SECONDS = 0.2
EXIT_STOPPED = 1
EXIT_BAD = 2


def add_scenario(parser: argparse.ArgumentParser) -> None:
    """Its commands and their options."""
    commands = parser.add_subparsers(required=True, metavar="WHAT")
    listing = commands.add_parser("list", help="name and story of every scenario of the package")
    listing.set_defaults(command=_list)
    show = commands.add_parser("show", help="one scenario as JSON: story, steps, expected end")
    show.add_argument("name", metavar="NAME|FILE", help="a scenario of the package, or a .yaml")
    show.set_defaults(command=_show)
    check = commands.add_parser("check", help="say whether files are scenarios; default: ours")
    check.add_argument("names", nargs="*", metavar="NAME|FILE", help="several may be given")
    check.set_defaults(command=_check)
    run = commands.add_parser("run", help="play a scenario in a running venue")
    run.add_argument("name", metavar="NAME|FILE", help="a scenario of the package, or a .yaml")
    add_address(run)
    run.add_argument("--speed", type=positive, default=1.0, help="so many times as fast")
    run.add_argument("--user-agent", default="*", help="glob of the clients it is meant for")
    run.add_argument(
        "--wait",
        action="store_true",
        help="return when it is over, 1 when somebody stopped it; after Ctrl-C the story goes on",
    )
    run.set_defaults(command=_run)
    stop = commands.add_parser("stop", help="end the scenario that is being played")
    add_address(stop)
    stop.set_defaults(command=_stop)


def _list(_options: argparse.Namespace) -> int:
    for name in scenario_names():
        print(f"{name}: {' '.join(find_scenario(name).story.split())}")
    return 0


def _show(options: argparse.Namespace) -> int:
    scenario = find_scenario(options.name)
    print(msgspec.json.format(msgspec.json.encode(scenario), indent=2).decode())
    return 0


def _check(options: argparse.Namespace) -> int:
    is_any_bad = False
    for name in options.names or scenario_names():
        try:
            scenario = find_scenario(name)
        except SandboxError as error:
            print(f"backpack-sandbox: {error}", file=sys.stderr)
            is_any_bad = True
            continue
        print(f"{name}: {counted(len(scenario.steps), 'step')}, {scenario.seconds:g} s")
    return EXIT_BAD if is_any_bad else 0


def _run(options: argparse.Namespace) -> int:
    scenario = find_scenario(options.name)  # a mistake is told before the venue is asked
    order = {"name": scenario.name, "speed": options.speed, "user_agent": options.user_agent}
    if options.name.endswith((SUFFIX, ".yml")):
        order |= {"name": options.name, "yaml": Path(options.name).read_text("utf-8")}
    status = ask(options, "POST", "/sandbox/scenarios", order)
    print(json.dumps(status), flush=True)
    return _wait(options, status["id"]) if options.wait else 0


def _wait(options: argparse.Namespace, number: int) -> int:
    while True:
        time.sleep(POLL_SECONDS)
        status = ask(options, "GET", "/sandbox/scenarios")
        if not status["playing"] or status["id"] != number:
            break
    print(json.dumps(status))
    is_over = status.get("id") == number and status.get("ended") == "over"
    return 0 if is_over else EXIT_STOPPED


def _stop(options: argparse.Namespace) -> int:
    print(json.dumps(ask(options, "DELETE", "/sandbox/scenarios")))
    return 0
